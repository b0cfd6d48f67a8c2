"""Locks of transactions that somebody prepared and never ended: no session holds them, and no restart frees them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import Blocked
from domain.errors import StoreUnavailable
from tests.servers.directories import open_directory
from tests.servers.postgres import FAST_SETTINGS, OwnPostgresServer
from tests.servers.tables import run_statements
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, label, put, task
from tests.unit.contracts.lanes import admitted

ENDED = "ROLLBACK PREPARED 'it''s gone'"
KEPT = "COMMIT PREPARED 'it''s gone'"
REFUSED_SECONDS_MAX = 6.0
AGE_SECONDS = 1.1


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgresServer]:
    with open_directory() as directory:
        started = OwnPostgresServer(
            directory / "postgres", settings={**FAST_SETTINGS, "max_prepared_transactions": "4"}
        )
        yield started
        started.close()


@pytest.fixture
def url(server: OwnPostgresServer) -> str:
    return server.create_prepared_database()


@pytest.fixture
async def store(server: OwnPostgresServer, url: str) -> AsyncIterator[PostgresRecordStore]:
    opened = PostgresRecordStore(url)
    await opened.open()
    await admitted(opened)
    await opened.commit(change_set(put("labels", label(1)), put("tasks", task(1))))
    yield opened
    for _ in run_statements(url, "SELECT gid FROM pg_prepared_xacts"):
        run_statements(url, ENDED)
    await opened.close()
    server.drop_database(url)


def _prepare(url: str, statement: str) -> None:
    run_statements(url, f"BEGIN; {statement}; PREPARE TRANSACTION 'it''s gone'")


async def test_a_table_that_a_prepared_transaction_locks_is_named_with_the_statement_that_frees_it(
    store: PostgresRecordStore, url: str
) -> None:
    _prepare(url, "LOCK TABLE postgres_labels")
    calls = (
        store.commit(change_set(put("labels", label(2)))),
        store.fetch("labels", [numbered_id(1)]),
        store.flaws(),
    )
    began = time.monotonic()
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(outcome, StoreUnavailable)
        assert outcome.is_of_the_store
        assert "A prepared transaction has locked postgres_labels of PostgreSQL" in outcome.message
        assert f"type in psql: {ENDED} (or, to keep its changes: {KEPT})" in outcome.message
    assert time.monotonic() - began < REFUSED_SECONDS_MAX
    run_statements(url, ENDED)
    await store.commit(change_set(put("labels", label(2))))
    assert len(await store.scan("labels", after=None, limit=5)) == 2


async def test_a_row_that_a_prepared_transaction_locks_is_named_and_others_are_saved(
    store: PostgresRecordStore, url: str
) -> None:
    edit = change_set(put("labels", label(1, version=2)))
    _prepare(url, "SELECT FROM postgres_labels FOR UPDATE")
    await asyncio.sleep(AGE_SECONDS)
    began = time.monotonic()
    with pytest.raises(
        StoreUnavailable, match="keeps rows of postgres_labels of PostgreSQL locked"
    ) as refused:
        await store.commit(edit)
    assert time.monotonic() - began < REFUSED_SECONDS_MAX
    assert (ENDED in refused.value.message, refused.value.is_of_the_store) == (True, False)
    await store.commit(change_set(put("labels", label(2))))
    run_statements(url, KEPT)
    await store.commit(edit)
    assert [one["version"] for one in await store.scan("labels", after=None, limit=5)] == [2, 1]


@pytest.mark.parametrize(
    ("lock", "words"),
    [
        ("SELECT FROM postgres_labels FOR UPDATE", "keeps rows of postgres_labels of PostgreSQL locked"),
        ("LOCK TABLE postgres_labels IN SHARE MODE", "has locked postgres_labels of PostgreSQL"),
    ],
)
async def test_a_target_shows_which_prepared_transaction_holds_up_its_changes(
    store: PostgresRecordStore, url: str, lock: str, words: str
) -> None:
    edit = change_set(put("labels", label(1, version=2)))
    _prepare(url, lock)
    await asyncio.sleep(AGE_SECONDS)
    (outcome,) = await store.apply([edit])
    assert isinstance(outcome, Blocked)
    assert words in outcome.cause
    assert ENDED in outcome.cause
    run_statements(url, ENDED)
    assert await store.apply([edit]) == [None]


async def test_rows_that_were_only_just_prepared_are_not_blamed(store: PostgresRecordStore, url: str) -> None:
    edit = change_set(put("labels", label(1, version=2)))
    _prepare(url, "SELECT FROM postgres_labels FOR UPDATE")
    saving = asyncio.create_task(store.commit(edit))
    await asyncio.sleep(AGE_SECONDS / 2)
    run_statements(url, ENDED)
    await saving
