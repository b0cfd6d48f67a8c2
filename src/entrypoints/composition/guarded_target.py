"""The target as the mirror may use it: migrated, and not owned by anybody else."""

from adapters.records.record_store import RecordStore
from adapters.records.wrapped_store import WrappedStore
from entrypoints.composition.arrangement import enter_as_target
from entrypoints.composition.schema import bring_up, require_current


class GuardedTarget(WrappedStore):
    """A target that may come up long after the process did, so its guards stand here and not at the start.

    `open` raises UnmigratedStore where migrating is left to a person, and StoreRefused where it holds other data.
    """

    def __init__(self, inner: RecordStore, *, source: RecordStore, is_migrated_here: bool) -> None:
        super().__init__(inner)
        self._source = source
        self._is_migrated_here = is_migrated_here

    async def open(self) -> None:
        await super().open()
        if not self._is_migrated_here:
            await require_current(self._inner)
            await enter_as_target(self._inner, self._source)

    async def prepare(self) -> None:
        await bring_up(self._inner)
        await enter_as_target(self._inner, self._source)
