"""Soft deletion and restoration, shared by all resources with a trash. Each resource lists its own trash."""

from collections.abc import Awaitable
from typing import Protocol

from application.actor import Actor
from entrypoints.http.protocol.answers import Tagged
from entrypoints.http.protocol.operation import Controller, Load, operation
from entrypoints.http.protocol.schemas import EntityView


class Move(Protocol):
    """Moves one entity to the trash, or restores it."""

    def __call__(self, actor: Actor, id: str, /, *, expected_version: int | None) -> Awaitable[Tagged]: ...


class TrashController(Controller):
    """Deletion and restoration. The controller of a resource with a trash inherits it and declares the use cases."""

    get: Load
    delete: Move
    restore: Move

    @operation("DELETE", "/{id}", summary="Move to the trash", status=204, also=(403,))
    async def move_to_trash(self, actor: Actor, id: str, expected: int | None) -> Tagged:
        return await self.delete(actor, id, expected_version=expected)

    @operation(
        "POST",
        "/{id}/restore",
        summary="Restore from the trash, together with the records deleted with it",
        view=EntityView,
        repeatable=True,
        also=(403,),
    )
    async def restore_from_trash(self, actor: Actor, id: str, expected: int | None) -> Tagged:
        return await self.restore(actor, id, expected_version=expected)
