"""Errors that say something about the server or a table, raised for one record: whom they concern is proven."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import Blocked, ChangeSet, Rejection
from adapters.records.isolation import apply_each
from domain.errors import StoreUnavailable
from tests.servers.tables import PreparedDatabase
from tests.unit.contracts.builders import change_set, label, put, task

STATES = (
    *("08000", "08001", "08003", "08006", "08P01"),
    *("0A000", "22012", "23502", "23503", "23505", "23514", "23P01"),
    *("25001", "25006", "25P02", "25P03", "26000", "28000", "28P01"),
    *("3D000", "3F000", "40001", "40P01"),
    *("42501", "42601", "42703", "42P01", "42P05"),
    *("53000", "53100", "53200", "53300", "53400", "54000", "54001"),
    *("55000", "55006", "55P03", "57000", "57014", "57P01", "57P02", "57P03", "57P04", "57P05"),
    *("58000", "58030", "58P01", "HV00N", "P0001", "P0002", "XX000", "XX001", "XX002"),
)
BAD = "bad"
WORDS = "the other side is away"


@contextmanager
def _raising(url: str, state: str, *, when: str) -> Iterator[None]:
    body = (
        f"BEGIN IF {when} THEN RAISE EXCEPTION '{WORDS}' USING ERRCODE = '{state}'; END IF; RETURN NEW; END"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE FUNCTION raising() RETURNS trigger LANGUAGE plpgsql AS $${body}$$;"
            "CREATE TRIGGER raising BEFORE INSERT OR UPDATE ON postgres_labels"
            " FOR EACH ROW EXECUTE FUNCTION raising()"
        )
        yield
        connection.execute("DROP FUNCTION raising CASCADE")


def _changes() -> list[ChangeSet]:
    """New ones, and a change of the newest and the oldest record that the target holds; the second one is bad."""
    new = [change_set(put("labels", label(10 + number))) for number in range(4)]
    edited = [
        change_set(put("labels", label(number, version=2, name=f"Edited {number}"))) for number in (1, 3)
    ]
    bad = change_set(put("labels", label(2, version=2, name=BAD)))
    return [new[0], bad, *new[1:], *edited, change_set(put("tasks", task(20)))]


async def _settle(store: PostgresRecordStore) -> None:
    known = [change_set(put("labels", label(number))) for number in (1, 2, 3)]
    assert await store.apply(known) == [None] * 3


@pytest.mark.parametrize("state", STATES)
async def test_a_state_raised_for_one_record_is_its_own(
    store: PostgresRecordStore, database: PreparedDatabase, state: str
) -> None:
    await _settle(store)
    changes = _changes()
    with _raising(database.url, state, when=f"NEW.name = '{BAD}'"):
        outcomes = await apply_each(store.apply, changes)
    assert [outcome for place, outcome in enumerate(outcomes) if place != 1] == [None] * (len(changes) - 1)
    rejection = outcomes[1]
    assert isinstance(rejection, Rejection)
    assert rejection.sqlstate == state
    assert WORDS in rejection.reason
    assert f"SQLSTATE {state}" in rejection.reason
    held = await store.scan("labels", after=None, limit=100)
    assert sorted(record["name"] for record in held) == sorted(
        [*(f"Label {number}" for number in (2, 10, 11, 12, 13)), "Edited 1", "Edited 3"]
    )
    assert await store.apply([changes[1]]) == [None]


@pytest.mark.parametrize("state", STATES)
async def test_a_state_raised_for_every_record_blocks_its_table(
    store: PostgresRecordStore, database: PreparedDatabase, state: str
) -> None:
    await _settle(store)
    changes = _changes()
    with _raising(database.url, state, when="true"):
        outcomes = await apply_each(store.apply, changes)
    assert outcomes[-1] is None
    for outcome in outcomes[:-1]:
        assert isinstance(outcome, Blocked)
        assert (outcome.place, outcome.record_id, outcome.sqlstate) == ("postgres_labels", None, state)
        assert WORDS in outcome.cause


BULK_STATES = ("08001", "25006", "40001", "42501", "53100", "55P03", "57014", "57P03", "XX000")


@pytest.mark.parametrize("state", BULK_STATES)
async def test_a_state_raised_for_one_row_of_a_page_rejects_that_row(
    store: PostgresRecordStore, database: PreparedDatabase, state: str
) -> None:
    await _settle(store)
    page = [label(number, name=BAD if number == 12 else f"New {number}") for number in range(10, 15)]
    with _raising(database.url, state, when=f"NEW.name = '{BAD}'"):
        loaded = await store.load("labels", page, checkpoint=None)
    assert {one.sqlstate for one in loaded.rejected.values()} == {state}
    held = await store.scan("labels", after=None, limit=100)
    assert len(held) == 3 + len(page) - 1


@pytest.mark.parametrize("state", BULK_STATES)
async def test_a_state_raised_for_every_row_of_a_page_rejects_none(
    store: PostgresRecordStore, database: PreparedDatabase, state: str
) -> None:
    await _settle(store)
    with (
        _raising(database.url, state, when="true"),
        pytest.raises(StoreUnavailable, match=f"postgres_labels takes no rows.*{WORDS}.*{state}"),
    ):
        await store.load("labels", [label(10), label(11)], checkpoint=None)
