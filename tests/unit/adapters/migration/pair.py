"""Two stores in memory that hold the same records, as a mirror leaves them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from adapters.migration.in_flight import Patience
from adapters.migration.verification import Verifier
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import VERSION, Record
from application.ports.migration import Difference, Progress, Verification
from tests.unit.contracts.builders import change_set, entry

QUICK = Patience(first_pause_seconds=0.001, pause_seconds_max=0.005, seconds_max=0.02)


class StepClock:
    """Each question is a second after the one before."""

    def __init__(self) -> None:
        self._now = datetime(2026, 5, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


@dataclass
class Pair:
    """A source and a target."""

    source: MontyRecordStore
    target: MontyRecordStore
    clock: StepClock = field(default_factory=StepClock)
    progress: list[Progress] = field(default_factory=list)

    async def mirror(self, *puts: Put, is_marked: bool = True) -> ChangeSet:
        """Commits puts with entries in the source, and applies them to the target."""
        change = change_set(*puts, entries=[_entry(put, is_marked=is_marked) for put in puts])
        await self.source.commit(change)
        await self.target.apply([change])
        return change

    async def commit(self, *puts: Put, is_marked: bool = True) -> ChangeSet:
        """Commits puts in the source alone: the target swallowed them, or they are on their way."""
        change = change_set(*puts, entries=[_entry(put, is_marked=is_marked) for put in puts])
        await self.source.commit(change)
        return change

    async def edit(self, collection: str, record: Record, *, over: int) -> None:
        """Changes a record of the target past the mirror, by hand."""
        await self.target.commit(ChangeSet((Put(collection, record, over),)))

    def lose(self, collection: str, record_id: str) -> None:
        """Removes a record from the source as nothing in Tandem does."""
        self.source._file.writer.execute(f"DELETE FROM {collection} WHERE id = ?", (record_id,))

    def lose_history(self) -> None:
        """Removes all entries from the source."""
        self.source._file.writer.execute("DELETE FROM audit_logs")

    async def verify(self, *, page: int = 3, patience: Patience = QUICK) -> Verification:
        """A full verification with ranges of a few records."""
        verifier = Verifier(self.source, self.target, clock=self.clock, patience=patience, page=page)
        return await verifier.verify(self.progress.append, incarnation=1, epoch=1)


def _entry(put: Put, *, is_marked: bool) -> Record:
    return entry(put, syncStatus="SYNCED" if is_marked else "PENDING")


@asynccontextmanager
async def new_pair() -> AsyncIterator[Pair]:
    """Two open stores without records."""
    pair = Pair(MontyRecordStore(None), MontyRecordStore(None))
    await pair.source.open()
    await pair.target.open()
    try:
        yield pair
    finally:
        await pair.source.close()
        await pair.target.close()


def facts(verification: Verification) -> list[tuple[str, str, tuple[str, ...]]]:
    """Kind, id without leading zeros, and fields of each difference."""
    return [_fact(one) for one in verification.differences]


def _fact(one: Difference) -> tuple[str, str, tuple[str, ...]]:
    return one.kind.value, one.id.lstrip("0"), one.fields


def next_version(record: Record, **fields: object) -> Record:
    """The record with changed fields as its next version."""
    return {**record, **fields, VERSION: record[VERSION] + 1}
