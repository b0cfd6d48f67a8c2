"""Control records of the retention: its last run, and the instant up to which interrupted operations are completed."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from adapters.records.control_records import read_control, write_control
from adapters.records.record import instant_text, json_value, mapping_of
from adapters.records.record_store import RecordStore
from application.ports.retention_runs import RetentionRun
from domain.errors import Conflict

RUN_ID, FINISHED_ID = "retention-run", "finished"
_MAPPING = mapping_of(RetentionRun)


class StoredRetentionRuns:
    """The port RetentionRuns. The records belong to one store and are never mirrored."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    async def note(self, run: RetentionRun) -> None:
        await self._keep(RUN_ID, {name: json_value(field) for name, field in _MAPPING.to_record(run).items()})

    async def last(self) -> RetentionRun | None:
        _, value = await read_control(self._store, RUN_ID)
        return None if value is None else _MAPPING.from_record(value)

    async def note_finished(self, at: datetime) -> None:
        await self._keep(FINISHED_ID, {"at": instant_text(at)})

    async def finished_until(self) -> datetime | None:
        _, value = await read_control(self._store, FINISHED_ID)
        return None if value is None else datetime.fromisoformat(value["at"])

    async def _keep(self, id: str, value: dict[str, Any]) -> None:
        version, _ = await read_control(self._store, id)
        with suppress(Conflict):
            await write_control(self._store, id, value, over=version)
