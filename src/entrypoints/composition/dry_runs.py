"""The port DryRuns over the stores of this process."""

from collections.abc import Sequence

from adapters.migration.evidence import load_evidence
from application.ports.migration import Difference
from domain.errors import Conflict, StoreUnavailable
from domain.migration import Step
from entrypoints.composition.ownership_moves import look_at_former_owner
from entrypoints.composition.recoveries import look_at_new_target, require_recovery
from entrypoints.composition.settings import Settings
from entrypoints.composition.store_stack import StoreStack


class MoveDryRuns:
    """Looks at the stores, and at what earlier steps have kept."""

    def __init__(self, stack: StoreStack, *, settings: Settings) -> None:
        self._stack = stack
        self._settings = settings

    async def require_target(self) -> None:
        await self._stack.direction.require_target()

    async def look_at_stores(self) -> None:
        await self._stack.direction.raw_source.ping()
        if self._stack.direction.raw_target is not None:
            await self.require_target()

    async def look_at_new_target(self) -> None:
        await look_at_new_target(self._stack, self._settings.stores)

    async def look(self, step: Step) -> None:
        if step is Step.RETIRE:
            await look_at_former_owner(self._stack, self._settings.stores)
        elif step is Step.RECOVER:
            await require_recovery(self._stack)
        elif (trouble := self._stack.direction.refusal_of_target) is not None:
            raise StoreUnavailable(trouble)
        elif step is Step.REPAIR:
            await self._found_differences()

    async def _found_differences(self) -> Sequence[Difference]:
        """Those of the last verification. Raises Conflict before the first one."""
        evidence = await load_evidence(self._stack.source)
        if evidence is None:
            raise Conflict("Nothing was verified yet. Type: tandem move verify --full")
        return evidence.differences
