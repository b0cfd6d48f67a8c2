"""What a dry run of a step of the move looks at."""

from typing import Protocol

from domain.migration import Step


class DryRuns(Protocol):
    """Looks at the stores that the steps of a move need. Changes nothing."""

    async def require_target(self) -> None:
        """Raises StoreUnavailable, with the cause that health shows, where the target does not answer, and Conflict
        where there is none.
        """
        ...

    async def look(self, step: Step) -> None:
        """Looks beyond `require` at what a step needs, and changes nothing. Raises what the step itself would raise
        before it begins.
        """
        ...

    async def look_at_stores(self) -> None:
        """Raises StoreUnavailable, with the cause, where a store that a preflight reads does not answer."""
        ...

    async def look_at_new_target(self) -> None:
        """Raises StoreUnavailable, and Conflict for a store that cannot take the place of a lost target."""
        ...
