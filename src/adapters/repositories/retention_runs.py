"""The last run of the retention, in a control record of the store."""

from contextlib import suppress

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, json_value, mapping_of
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL
from application.ports.retention_runs import RetentionRun
from domain.errors import Conflict

RUN_ID = "retention-run"
_MAPPING = mapping_of(RetentionRun)


class StoredRetentionRuns:
    """The port RetentionRuns. The record belongs to one store and is never mirrored."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    async def note(self, run: RetentionRun) -> None:
        present = (await self._store.fetch(CONTROL.collection, (RUN_ID,))).get(RUN_ID)
        version = 0 if present is None else int(present[VERSION])
        value = {name: json_value(field) for name, field in _MAPPING.to_record(run).items()}
        record = {ID: RUN_ID, VERSION: version + 1, "value": value}
        with suppress(Conflict):
            await self._store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))

    async def last(self) -> RetentionRun | None:
        record = (await self._store.fetch(CONTROL.collection, (RUN_ID,))).get(RUN_ID)
        return None if record is None else _MAPPING.from_record(record["value"])
