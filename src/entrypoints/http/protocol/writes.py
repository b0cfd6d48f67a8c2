"""How every write goes: conditions heard, carried out once per key, answered with what it made."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from application.actor import Actor
from entrypoints.http.addresses import known_id
from entrypoints.http.conditional import Preconditions, Tagged, entity_tag
from entrypoints.http.idempotency import Answers, Repeatable
from entrypoints.http.protocol.answers import (
    Answer,
    HttpRequest,
    RawHeaders,
    entity_answer,
    view_answer,
    view_of,
)

T = TypeVar("T")


class Load(Protocol):
    """Reads one entity, as it is or as it was."""

    def __call__(self, actor: Actor, id: str, /, *, version: int | None = None) -> Awaitable[Tagged]: ...


Change = Callable[[Actor, int | None], Awaitable[Tagged]]
"""Carries a change out for an actor who insists on a version, or on none."""


class Writing:
    """What handlers that write have in common."""

    def __init__(self, answers: Answers, preconditions: Preconditions) -> None:
        self._answers = answers
        self._preconditions = preconditions

    async def create(
        self, request: HttpRequest, actor: Actor, *, load: Load, run: Callable[[Actor], Awaitable[Tagged]]
    ) -> Answer:
        """Carries a creation out, or answers what the same request created before; its address is in Location."""
        entity, headers = await self._answers.once(request, actor, _repeatable(actor, load, run))
        location = (b"location", f"{request.scope['path']}/{entity.id}".encode())
        return entity_answer(request, entity, status=201, headers=(location, *headers))

    async def change(
        self,
        request: HttpRequest,
        actor: Actor,
        id: str,
        *,
        load: Load,
        run: Change,
        headers: RawHeaders = (),
    ) -> Answer:
        """Carries a change out under its conditions, or answers the version that the same request made before."""
        entity, replayed = await self._changed(request, actor, id, load=load, run=run)
        return entity_answer(request, entity, headers=(*headers, *replayed))

    async def show(self, request: HttpRequest, actor: Actor, id: str, *, load: Load, run: Change) -> Answer:
        """Answers what a change would make, under the same conditions; no tag, as there is no such version."""
        entity, _ = await self._changed(request, actor, id, load=load, run=run)
        return view_answer(view_of(entity))

    async def _changed(
        self, request: HttpRequest, actor: Actor, id: str, *, load: Load, run: Change
    ) -> tuple[Tagged, RawHeaders]:
        known_id(id)

        async def conditional(claimed: Actor) -> Tagged:
            return await run(claimed, await self.expected_version(request, actor, id, load=load))

        return await self._answers.once(request, actor, _repeatable(actor, load, conditional))

    async def act(
        self,
        request: HttpRequest,
        actor: Actor,
        *,
        run: Callable[[Actor], Awaitable[Tagged]],
        again: Callable[[str], Awaitable[Tagged]],
    ) -> Answer:
        """Carries out what changes something beside the entity it is answered with; `again` finds that entity for a
        repetition, by the id of what the same request made first.
        """
        work = Repeatable(run, lambda id, _: again(id))
        entity, replayed = await self._answers.once(request, actor, work)
        return entity_answer(request, entity, headers=replayed)

    async def once(
        self,
        request: HttpRequest,
        actor: Actor,
        *,
        run: Callable[[Actor], Awaitable[T]],
        again: Callable[[str, int], Awaitable[T]],
    ) -> tuple[T, RawHeaders]:
        """What a request makes that is about several things, and the headers of the answer; `again` finds it for a
        repetition, by id and version of what the same request made first.
        """
        return await self._answers.once(request, actor, Repeatable(run, again))

    @property
    def needs_versions(self) -> bool:
        """Whether every change has to name the version it means."""
        return self._preconditions.mandatory

    async def remove(self, request: HttpRequest, actor: Actor, id: str, *, load: Load, run: Change) -> Answer:
        """Carries a deletion out under its conditions; the tag is what a restore may insist on."""
        known_id(id)
        entity = await run(actor, await self.expected_version(request, actor, id, load=load))
        return Answer(status=204, headers=((b"etag", entity_tag(entity.version)),))

    async def expected_version(
        self, request: HttpRequest, actor: Actor, id: str, *, load: Load
    ) -> int | None:
        """The version that the caller insists on, None where any will do."""
        return await self._preconditions.expected_version(request.scope, lambda: load(actor, id))


def _repeatable(actor: Actor, load: Load, run: Callable[[Actor], Awaitable[Tagged]]) -> Repeatable[Tagged]:
    return Repeatable(run, lambda id, version: load(actor, id, version=version))
