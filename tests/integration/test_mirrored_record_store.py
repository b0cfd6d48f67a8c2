"""The record store contract on MontyDB mirrored to PostgreSQL; each test leaves the same in both."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.settings import DualWriteSettings
from adapters.monty.record_store import MontyRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet, Rejection
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from adapters.records.wrapped_store import WrappedStore
from adapters.system.clock import SystemClock
from domain.audit import SyncStatus
from tests.integration.crash.store_comparison import Stores, differences, read_open_store
from tests.servers.tables import PreparedDatabase
from tests.unit.contracts.builders import change_set, fetched, label, put, same, task
from tests.unit.contracts.record_store import StateContract
from tests.unit.contracts.values import UNHOLDABLE

PATIENT = DualWriteSettings(timeout_ms=30_000, mark_interval_ms=60_000)
"""A working target that answers slowly must not fail these tests, as no relay follows them. Entries are marked when the
store is closed, not while a test compares the stores.
"""

MARKED_SECONDS_MAX = 10

CLOSING = frozenset({"test_closing_finishes_what_runs", "test_closing_twice_is_harmless"})
"""Tests that close the stores themselves."""
UNEQUAL = frozenset({"test_a_commit_refuses_or_keeps", "test_a_mirror_refuses_or_keeps"})
"""Those of values that MontyDB holds and PostgreSQL rejects."""


def _mirrored(
    source: RecordStore, target: RecordStore, settings: DualWriteSettings = PATIENT
) -> MirroredStore:
    return MirroredStore(
        source,
        MirrorTarget(target, settings=settings),
        settings=settings,
        clock=SystemClock(),
        wake_relay=lambda: None,
    )


async def _marks(source: RecordStore, change_sets: list[ChangeSet]) -> list[Record]:
    """The entries of the change sets as soon as each has a delivery outcome."""
    ids = [id_ for change_set in change_sets for id_ in change_set.entry_ids]
    async with asyncio.timeout(MARKED_SECONDS_MAX):
        while True:
            entries = await source.fetch(AUDIT_LOGS.collection, ids)
            if all(entry["syncStatus"] != SyncStatus.PENDING for entry in entries.values()):
                return [entries[id_] for id_ in ids]
            await asyncio.sleep(0.01)


async def test_one_poison_among_concurrent_writes_is_counted_with_its_own_reason(
    database: PreparedDatabase,
) -> None:
    source, target = MontyRecordStore(None), PostgresRecordStore(database.url)
    store = _mirrored(source, target, DualWriteSettings(timeout_ms=30_000, mark_interval_ms=10))
    await store.open()
    await store.prepare()
    records = [task(number) for number in range(40)]
    records[17] = {**UNHOLDABLE["too long for a key"], "id": records[17]["id"]}
    change_sets = [change_set(put("tasks", record)) for record in records]

    await asyncio.gather(*(store.commit(one) for one in change_sets))

    entries = await _marks(source, change_sets)
    poison = entries.pop(17)
    assert (poison["syncStatus"], poison["syncAttempts"]) == ("FAILED", 1)
    assert poison["syncError"] == "A value is longer than PostgreSQL can index. (SQLSTATE 54000)"
    assert [entry["syncStatus"] for entry in entries] == ["SYNCED"] * 39
    arrived = await target.scan("tasks", after=None, limit=100)
    assert [record["id"] for record in arrived] == [
        record["id"] for number, record in enumerate(records) if number != 17
    ]
    await store.close()
    database.empty()


class _KeptOpen(WrappedStore):
    """A target that stays open when the mirror closes it: a new connection has everything to plan anew."""

    async def close(self) -> None:
        return


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_target(database: PreparedDatabase) -> AsyncIterator[PostgresRecordStore]:
    target = PostgresRecordStore(database.url)
    yield target
    await target.close()


@pytest.mark.asyncio(loop_scope="module")
class TestMontyMirroredToPostgres(StateContract):
    """What every store promises, and the mirror.

    Questions go to the source alone; the unit tests of the mirrored store show that they do.
    """

    @pytest_asyncio.fixture(loop_scope="module")
    async def store(
        self, database: PreparedDatabase, shared_target: PostgresRecordStore, request: pytest.FixtureRequest
    ) -> AsyncIterator[RecordStore]:
        source = MontyRecordStore(None)
        closes = request.function.__name__ in CLOSING
        target = PostgresRecordStore(database.url) if closes else _KeptOpen(shared_target)
        store = _mirrored(source, target)
        await store.open()
        await store.prepare()
        yield store
        findings = []
        if not closes and request.function.__name__ not in UNEQUAL:
            left = Stores(await read_open_store(source), await read_open_store(target))
            findings = list(differences(left))
        await store.close()
        database.empty()
        assert findings == []

    @pytest.mark.parametrize("record", UNHOLDABLE.values(), ids=UNHOLDABLE)
    async def test_a_mirror_refuses_or_keeps(self, store: RecordStore, record: Record) -> None:
        """A value that either store rejects is rejected. Where only the target does, the source keeps it."""
        good, bad = (
            change_set(put("tasks", task(9))),
            change_set(put("labels", label(2)), put("tasks", record)),
        )

        first, rejected, last = await store.apply([good, bad, change_set(put("tasks", task(10)))])

        assert (first, last) == (None, None)
        assert isinstance(rejected, Rejection)
        assert rejected.reason.isprintable()
        stored, beside = await fetched(store, "tasks", 1), await fetched(store, "labels", 2)
        assert (stored is None) == (beside is None)
        assert stored is None or same(stored, record)
