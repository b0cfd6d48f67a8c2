"""The one trash contract: delete softly, restore. Each resource lists its own trash."""

from collections.abc import Awaitable
from typing import Protocol

from application.actor import Actor
from entrypoints.http.protocol.answers import Tagged
from entrypoints.http.protocol.operation import Controller, Load, operation
from entrypoints.http.protocol.schemas import EntityView


class Move(Protocol):
    """Moves one entity into the trash or out of it."""

    def __call__(self, actor: Actor, id: str, /, *, expected_version: int | None) -> Awaitable[Tagged]: ...


class TrashController(Controller):
    """Into the trash and out of it. The controller of a resource with a trash inherits it and names its use cases."""

    get: Load
    delete: Move
    restore: Move

    @operation("DELETE", "/{id}", summary="Move to the trash", status=204, also=(403,))
    async def move_to_trash(self, actor: Actor, id: str, expected: int | None) -> Tagged:
        return await self.delete(actor, id, expected_version=expected)

    @operation(
        "POST",
        "/{id}/restore",
        summary="Take out of the trash, with what went there with it",
        view=EntityView,
        repeatable=True,
        also=(403,),
    )
    async def take_out_of_trash(self, actor: Actor, id: str, expected: int | None) -> Tagged:
        return await self.restore(actor, id, expected_version=expected)
