"""What PostgreSQL as the source says of a commit whose answer was lost: its lane tells whether it was stored."""

from collections.abc import AsyncIterator

import pytest

from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet
from adapters.records.specs import AUDIT_LOGS
from domain.errors import StoreUnavailable
from tests.servers.postgres_pooler import Habits, PostgresPooler
from tests.unit.contracts.builders import change_set, fetched, put, same, task
from tests.unit.contracts.lanes import admitted

WORDS = "the answer to this one is lost"


@pytest.fixture
async def pooler(prepared_postgres_url: str) -> AsyncIterator[PostgresPooler]:
    """A way to an empty database with tables, that can lose answers."""
    async with PostgresPooler(prepared_postgres_url, Habits(server_count=3, resets=True)).serving() as pooler:
        yield pooler


@pytest.fixture
async def store(pooler: PostgresPooler) -> AsyncIterator[PostgresRecordStore]:
    """A store that writes by lanes and reaches its server through the pooler only."""
    store = PostgresRecordStore(pooler.url)
    await store.open()
    await admitted(store)
    await store.register()
    yield store
    await store.close()


def _written(version: int, *, expected: int, has_entries: bool) -> ChangeSet:
    change = put("tasks", task(1, version=version, title=WORDS), expected=expected)
    return change_set(change) if has_entries else change_set(change, entries=[])


@pytest.mark.parametrize("has_entries", [True, False], ids=["with entries", "without entries"])
@pytest.mark.parametrize(("version", "expected"), [(1, 0), (4, 2)], ids=["create", "update"])
async def test_a_rejected_write_whose_answer_is_lost_is_not_acknowledged(
    store: PostgresRecordStore, pooler: PostgresPooler, version: int, expected: int, has_entries: bool
) -> None:
    stored = task(1, version=3)
    await store.commit(change_set(put("tasks", stored, expected=0)))
    pooler.lose_answer_to(WORDS.encode())
    late = _written(version, expected=expected, has_entries=has_entries)
    with pytest.raises(StoreUnavailable):
        await store.commit(late)
    assert pooler.lost == 1
    assert same(await fetched(store, "tasks", 1), stored)
    assert len(await store.scan(AUDIT_LOGS.collection, after=None, limit=9)) == 1


@pytest.mark.parametrize("has_entries", [True, False], ids=["with entries", "without entries"])
async def test_a_stored_write_whose_answer_is_lost_is_acknowledged(
    store: PostgresRecordStore, pooler: PostgresPooler, has_entries: bool
) -> None:
    pooler.lose_answer_to(WORDS.encode())
    await store.commit(_written(1, expected=0, has_entries=has_entries))
    assert pooler.lost == 1
    assert same(await fetched(store, "tasks", 1), task(1, title=WORDS))
    assert len(await store.scan(AUDIT_LOGS.collection, after=None, limit=9)) == has_entries
    await store.commit(change_set(put("tasks", task(2))))
    lanes = (await store.positions()).lanes.values()
    assert sorted((lane.is_open, lane.number) for lane in lanes) == [(False, 1), (True, 1)]
