"""Stores that can try a commit without storing it."""

from typing import Protocol, runtime_checkable

from adapters.records.change_set import ChangeSet


@runtime_checkable
class Rehearsing(Protocol):
    """A store that rolls a commit back."""

    async def rehearse(self, change_set: ChangeSet) -> None:
        """Returns if a commit of the change set works now; stores nothing. Raises what `commit` would raise."""
