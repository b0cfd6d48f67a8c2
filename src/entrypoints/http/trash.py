"""The one trash contract: delete softly, restore. What is in the trash is listed by each resource."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from litestar import Controller, delete, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from application.actor import Actor
from entrypoints.http.conditional import Tagged
from entrypoints.http.protocol.answers import Answer, HttpRequest
from entrypoints.http.protocol.operation import documented
from entrypoints.http.protocol.writes import Load, Writing
from entrypoints.http.queries import require_no_query
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.views import EntityView


class Move(Protocol):
    """Moves one entity into the trash or out of it."""

    def __call__(self, actor: Actor, id: str, /, *, expected_version: int | None) -> Awaitable[Tagged]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trashable:
    """One kind of thing with a trash: the use cases that read, delete and restore it."""

    load: Load
    delete: Move
    restore: Move
    writing: Writing


class TrashController(Controller):
    """Into the trash and out of it; the controllers of what has a trash inherit it and provide `trashable`."""

    # The framework wants a status that allows a body; the answer brings its own.
    @delete(
        "/{id:str}",
        status_code=200,
        opt=documented("Move to the trash", status=204, is_guarded=True, also=(403,)),
    )
    async def remove(
        self, request: HttpRequest, id: FromPath[str], trashable: NamedDependency[Trashable]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return await trashable.writing.remove(
            request,
            actor,
            id,
            load=trashable.load,
            run=lambda claimed, expected: trashable.delete(claimed, id, expected_version=expected),
        )

    @post(
        "/{id:str}/restore",
        status_code=200,
        opt=documented(
            "Take out of the trash, with what went there with it",
            answer=EntityView,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def restore(
        self, request: HttpRequest, id: FromPath[str], trashable: NamedDependency[Trashable]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return await trashable.writing.change(
            request,
            actor,
            id,
            load=trashable.load,
            run=lambda claimed, expected: trashable.restore(claimed, id, expected_version=expected),
        )
