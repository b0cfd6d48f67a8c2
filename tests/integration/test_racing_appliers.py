"""Two sessions that insert the same entries into PostgreSQL at the same moment."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet, Rejection
from adapters.records.specs import AUDIT_LOGS
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, entry, put, task

TABLE = AUDIT_LOGS.table
SLOW_SECONDS = 0.05
"""Longer than two sessions need to begin, shorter than an apply waits for a lock."""


@pytest.fixture
async def store(prepared_postgres_url: str) -> AsyncIterator[PostgresRecordStore]:
    """A store whose server takes its time between the first unique index of an entry and its primary key."""
    with psycopg.connect(prepared_postgres_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION slowly(id text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
            f" $$BEGIN PERFORM pg_sleep({SLOW_SECONDS}); RETURN id; END$$"
        )
        connection.execute(f"CREATE INDEX slow ON {TABLE} (slowly(entity_id))")
        # PostgreSQL fills indexes in the order of their creation.
        connection.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT {TABLE}_pkey, ADD PRIMARY KEY (mongo_id)")
    store = PostgresRecordStore(prepared_postgres_url)
    await store.open()
    await asyncio.gather(*(store.apply([change_set(put("tasks", task(number)))]) for number in (8, 9)))
    yield store
    await store.close()


def _entries(*numbers: int, salt: int = 0) -> list[ChangeSet]:
    """Change sets of an entry alone, as one is delivered whose state was discarded."""
    return [
        ChangeSet((), (entry(put("tasks", task(number)), id=numbered_id(100 * salt + number)),))
        for number in numbers
    ]


@pytest.mark.parametrize("numbers", [(1,), (1, 2)], ids=["alone", "in a batch"])
async def test_the_loser_of_a_race_finds_the_same_entries_there(
    store: PostgresRecordStore, numbers: tuple[int, ...]
) -> None:
    outcomes = await asyncio.gather(*(store.apply(_entries(*numbers, salt=5)) for _ in range(2)))
    assert outcomes == [[None] * len(numbers)] * 2
    assert len(await store.scan(AUDIT_LOGS.collection, after=None, limit=9)) == 2 + len(numbers)


async def test_one_of_two_racing_entries_of_one_version_is_rejected(store: PostgresRecordStore) -> None:
    outcomes = await asyncio.gather(*(store.apply(_entries(1, salt=salt)) for salt in (5, 6)))
    assert sorted(isinstance(outcome, Rejection) for (outcome,) in outcomes) == [False, True]
    reasons = [outcome.reason for (outcome,) in outcomes if isinstance(outcome, Rejection)]
    assert "another entry" in reasons[0].lower()
