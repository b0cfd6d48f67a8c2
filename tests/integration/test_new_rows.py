"""What a table does with new rows: a rule about all of them blocks it, a rule about certain values rejects a record."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
import pytest

from adapters.postgres.new_rows import neutral_records
from adapters.postgres.record_store import PostgresRecordStore
from adapters.postgres.rows import encoded_rows
from adapters.postgres.statements import MIRROR_ROWS
from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet, Rejection
from adapters.records.isolation import apply_each
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from domain.errors import StoreUnavailable
from tests.servers.tables import PreparedDatabase
from tests.unit.contracts.builders import change_set, everything, label, put, task

BAD = "bad"


@contextmanager
def _trigger(
    url: str,
    body: str,
    *,
    when: str = "TRIGGER trouble AFTER INSERT",
    table: str = "postgres_labels",
    more: str = "",
) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body}; RETURN NEW; END$$;"
            f"CREATE {when} ON {table} {more} FOR EACH ROW EXECUTE FUNCTION trouble()"
        )
        try:
            yield
        finally:
            connection.execute("DROP FUNCTION trouble CASCADE; DROP FUNCTION IF EXISTS kept CASCADE")


def _new(*names: str) -> list[ChangeSet]:
    return [change_set(put("labels", label(50 + place, name=name))) for place, name in enumerate(names)]


async def _know(store: PostgresRecordStore, count: int) -> None:
    known = [change_set(put("labels", label(number))) for number in range(count)]
    if known:
        assert await store.apply(known) == [None] * count


def _kinds(outcomes: Sequence[ApplyOutcome]) -> str:
    """B for blocked, R for rejected, s for stored."""
    return "".join(
        "B" if isinstance(one, Blocked) else "R" if isinstance(one, Rejection) else "s" for one in outcomes
    )


AFTER, BEFORE = "TRIGGER trouble AFTER INSERT", "TRIGGER trouble BEFORE INSERT"
IS_NEW = "NOT EXISTS (SELECT FROM postgres_labels WHERE mongo_id = NEW.mongo_id)"
FULL = "(SELECT count(*) FROM postgres_labels) > {}"
RULES = {
    "every row after it was inserted": ("RAISE 'no % here', NEW.name", AFTER, 3, "BBB"),
    "every unknown row": (f"IF {IS_NEW} THEN RAISE 'nothing new'; END IF", BEFORE, 3, "BBB"),
    "a missing table": ("INSERT INTO archive VALUES (NEW.name)", AFTER, 3, "BBB"),
    "a missing table, and one known row": ("INSERT INTO archive VALUES (NEW.name)", AFTER, 1, "BBB"),
    "a missing function": ("PERFORM pg_notify_all(NEW.name)", AFTER, 3, "BBB"),
    "every row of an empty table": ("RAISE 'no % here', NEW.name", AFTER, 0, "BBB"),
    "a number of rows": (f"IF {FULL.format(3)} THEN RAISE 'full'; END IF", AFTER, 3, "BBB"),
    "one name": (f"IF NEW.name = '{BAD}' THEN RAISE 'not %', NEW.name; END IF", AFTER, 3, "sRs"),
    "one name, with the SQLSTATE of a missing table": (
        f"IF NEW.name = '{BAD}' THEN RAISE 'not %', NEW.name USING ERRCODE = '42P01'; END IF",
        AFTER,
        3,
        "sRs",
    ),
    "one name in an empty table": (
        f"IF NEW.name = '{BAD}' THEN RAISE 'not %', NEW.name; END IF",
        AFTER,
        0,
        "sRs",
    ),
    "a missing value in an empty table": (
        "IF NEW.deleted_at IS NULL THEN RAISE 'empty'; END IF",
        AFTER,
        0,
        "RRR",
    ),
    "a form of the name in an empty table": (
        "IF NEW.name !~ '^[0-9a-f]+$' THEN RAISE 'form'; END IF",
        AFTER,
        0,
        "RsR",
    ),
    "unknown rows with one name": (
        f"IF {IS_NEW} AND NEW.name = '{BAD}' THEN RETURN NULL; END IF",
        BEFORE,
        3,
        "sRs",
    ),
    "every unknown row, dropped": (f"IF {IS_NEW} THEN RETURN NULL; END IF", BEFORE, 3, "BBB"),
    "every row at the commit": (
        "RAISE 'late'",
        "CONSTRAINT TRIGGER trouble AFTER INSERT",
        3,
        "BBB",
    ),
}


@pytest.mark.parametrize(("body", "when", "known", "kinds"), RULES.values(), ids=RULES)
async def test_a_rule_about_every_new_row_blocks_its_table_and_one_about_values_rejects_a_record(
    store: PostgresRecordStore, database: PreparedDatabase, body: str, when: str, known: int, kinds: str
) -> None:
    await _know(store, known)
    changes = _new("first", BAD, "last")
    more = "DEFERRABLE INITIALLY DEFERRED" if "CONSTRAINT" in when else ""
    with _trigger(database.url, body, when=when, more=more):
        outcomes = await apply_each(store.apply, [*changes, change_set(put("tasks", task(1)))])
    assert _kinds(outcomes) == f"{kinds}s"
    for outcome in outcomes:
        if isinstance(outcome, Blocked):
            assert (outcome.place, outcome.record_id) == ("postgres_labels", None)
            assert not any(name in outcome.cause for name in ("first", "last", "Label"))
    stored = kinds.count("s")
    assert {name: len(rows) for name, rows in (await everything(store, "labels", "tasks")).items()} == {
        "labels": known + stored,
        "tasks": 1,
    }
    assert _kinds(await apply_each(store.apply, changes)) == "sss"


KEPT = (
    "CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'kept'; END$$;"
    "CREATE TRIGGER kept BEFORE DELETE ON postgres_labels FOR EACH ROW EXECUTE FUNCTION kept()"
)


@pytest.mark.parametrize(
    ("body", "kinds"), [("RAISE 'no'", "BBB"), (f"IF NEW.name = '{BAD}' THEN RAISE 'no'; END IF", "sRs")]
)
async def test_a_table_whose_rows_cannot_be_deleted_is_tried_with_neutral_records(
    store: PostgresRecordStore, database: PreparedDatabase, body: str, kinds: str
) -> None:
    await _know(store, 3)
    with _trigger(database.url, body):
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(KEPT)
        outcomes = await apply_each(store.apply, _new("first", BAD, "last"))
    assert _kinds(outcomes) == kinds


@pytest.mark.parametrize("known", [0, 2])
async def test_audit_entries_that_are_all_rejected_block_everything(
    store: PostgresRecordStore, database: PreparedDatabase, known: int
) -> None:
    await _know(store, known)
    with _trigger(database.url, "INSERT INTO archive VALUES (NEW.mongo_id)", table=AUDIT_LOGS.table):
        outcomes = await apply_each(store.apply, [*_new("first"), change_set(put("tasks", task(1)))])
    assert [one.place for one in outcomes if isinstance(one, Blocked)] == [AUDIT_LOGS.table] * 2


@pytest.mark.parametrize("known", [0, 3])
async def test_a_page_is_not_rejected_row_by_row_where_its_table_takes_no_new_row(
    store: PostgresRecordStore, database: PreparedDatabase, known: int
) -> None:
    await _know(store, known)
    page = [label(50 + number, name=BAD if number == 1 else f"New {number}") for number in range(4)]
    with (
        _trigger(database.url, "INSERT INTO archive VALUES (NEW.name)"),
        pytest.raises(StoreUnavailable, match="postgres_labels takes no rows at present"),
    ):
        await store.load("labels", page, checkpoint=None)
    with _trigger(database.url, f"IF NEW.name = '{BAD}' THEN RAISE 'not %', NEW.name; END IF"):
        loaded = await store.load("labels", page, checkpoint=None)
    assert list(loaded.rejected) == [page[1]["id"]]
    assert len(await store.scan("labels", after=None, limit=9)) == known + 3


@pytest.mark.parametrize("collection", [spec.collection for spec in (*ENTITY_SPECS, AUDIT_LOGS)])
def test_every_table_stores_the_neutral_records(database: PreparedDatabase, collection: str) -> None:
    records = list(neutral_records(collection))
    with psycopg.connect(database.url) as connection:
        stored = connection.execute(MIRROR_ROWS[collection], {"rows": encoded_rows(collection, records)})
        assert stored.rowcount == len(records) >= 2
        connection.rollback()
