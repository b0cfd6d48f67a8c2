"""The target of the mirror, which is checked whenever it is opened: migrated, and filled by this source."""

from adapters.records.record_store import RecordStore
from adapters.records.wrapped_store import WrappedStore
from entrypoints.composition.schema import bring_up, require_current
from entrypoints.composition.topology import enter_as_target


class GuardedTarget(WrappedStore):
    """A target may become available long after the process has started, so its checks stand here and not in the start.

    `open` raises UnmigratedStore where an operator migrates, and StoreRefused where the target holds other data.
    """

    def __init__(self, inner: RecordStore, *, source: RecordStore, migrates: bool) -> None:
        super().__init__(inner)
        self._source = source
        self._migrates = migrates

    async def open(self) -> None:
        await super().open()
        if not self._migrates:
            await require_current(self._inner)
            await enter_as_target(self._inner, self._source)

    async def prepare(self) -> None:
        await bring_up(self._inner)
        await enter_as_target(self._inner, self._source)
