"""The content of PostgreSQL after writes: columns, order inside a batch, and isolated rejections."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from adapters.postgres.mirror_statements import STATEMENT_BYTES_MAX, STATEMENT_ROWS_MAX
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import Blocked, ChangeSet, Rejection
from adapters.records.isolation import apply_each
from adapters.records.record import Record
from domain.errors import AlreadyExists, StoreUnavailable, VersionConflict
from tests.servers.tables import PreparedDatabase
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import (
    change_set,
    entry,
    erasure,
    label,
    project,
    put,
    reason_of,
    task,
    user,
)


@pytest.fixture(scope="module")
def prepared_url(database: PreparedDatabase) -> str:
    return database.url


class Altered:
    """Makes changes to the tables by hand, as somebody beside Tandem does."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def __call__(self, statements: str, *, undone_by: str) -> Iterator[None]:
        with psycopg.connect(self._url, autocommit=True) as beside:
            beside.execute(statements.encode())
            try:
                yield
            finally:
                beside.execute(undone_by.encode())


@pytest.fixture
def altered(prepared_url: str) -> Altered:
    return Altered(prepared_url)


def _row(url: str, table: str, number: int) -> dict[str, Any]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        found = connection.execute(f"SELECT * FROM {table} WHERE mongo_id = %s", [numbered_id(number)])
        row = found.fetchone()
    assert row is not None
    return row


def _renamed(number: int, name: str, *, version: int) -> Record:
    return label(number, version=version, name=name)


async def test_single_writes_go_on_after_a_transaction_was_rolled_back(
    store: PostgresRecordStore, prepared_url: str
) -> None:
    """A rollback has the server forget what it planned; what is planned next must not get in the way."""
    newcomers = (put("tasks", task(31)), put("projects", project(32)), put("users", user(33)))
    for number, newcomer in enumerate(newcomers, start=1):
        await store.commit(change_set(put("labels", label(number))))
        await store.apply([change_set(put("labels", label(10 + number)))])
        with pytest.raises(VersionConflict):
            await store.commit(change_set(put("labels", label(20)), put("labels", label(number))))
        await store.commit(change_set(newcomer))
    with psycopg.connect(prepared_url) as connection:
        stored = connection.execute("SELECT mongo_id FROM postgres_labels ORDER BY mongo_id").fetchall()
    assert stored == [(numbered_id(number),) for number in (1, 2, 3, 11, 12, 13)]


async def test_only_mirrored_rows_say_when_they_were_mirrored(
    store: PostgresRecordStore, prepared_url: str
) -> None:
    before = datetime.now(UTC)
    await store.commit(change_set(put("tasks", task(1))))
    await store.commit(change_set(put("tasks", task(2)), put("tasks", task(3))))
    await store.apply([change_set(put("tasks", task(4)))])
    await store.apply([change_set(put("tasks", task(5))), change_set(put("tasks", task(6)))])
    own = [_row(prepared_url, "postgres_tasks", number)["synced_at"] for number in (1, 2, 3)]
    mirrored = [_row(prepared_url, "postgres_tasks", number)["synced_at"] for number in (4, 5, 6)]
    assert own == [None] * 3
    assert all(at.microsecond % 1_000 == 0 and abs(at - before).total_seconds() < 60 for at in mirrored)
    await store.commit(change_set(put("tasks", task(4, version=2))))
    assert _row(prepared_url, "postgres_tasks", 4)["synced_at"] is None


async def test_a_tombstone_row_keeps_no_content(store: PostgresRecordStore, prepared_url: str) -> None:
    await store.apply([change_set(put("tasks", task(1, description="secret", unknown="secret")))])
    await store.apply([change_set(erasure("tasks", 1, version=2))])
    row = _row(prepared_url, "postgres_tasks", 1)
    left = {name: value for name, value in row.items() if value is not None and name != "synced_at"}
    assert left == {"mongo_id": numbered_id(1), "version": 2, "is_deleted": True, "is_erased": True}


def test_the_database_refuses_a_tombstone_with_content(prepared_url: str) -> None:
    with psycopg.connect(prepared_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "INSERT INTO postgres_labels (mongo_id, version, is_erased, name) VALUES ('x', 1, true, 'left')"
        )


async def test_values_stand_in_columns_of_their_own_type(
    store: PostgresRecordStore, prepared_url: str
) -> None:
    due = datetime(2026, 5, 4, 3, 2, 1, 7_000, tzinfo=UTC)
    await store.commit(change_set(put("tasks", task(1, dueAt=due, labelIds=["a"], extra={"n": 1}, at=due))))
    row = _row(prepared_url, "postgres_tasks", 1)
    assert (row["due_at"], row["label_ids"], row["is_deleted"], row["priority"]) == (due, ["a"], False, 2)
    assert row["extra"] == {"values": {"extra": {"n": 1}}, "instants": {"at": due.isoformat()}}


async def test_a_name_moves_between_records_of_one_batch_in_any_order(store: PostgresRecordStore) -> None:
    await store.apply([change_set(put("labels", _renamed(1, "red", version=1)))])
    given_up = change_set(put("labels", _renamed(1, "blue", version=2)))
    taken = change_set(put("labels", _renamed(2, "red", version=1)))
    assert await apply_each(store.apply, [taken, given_up]) == [None, None]
    found = await store.fetch("labels", [numbered_id(1), numbered_id(2)])
    assert [found[numbered_id(number)]["name"] for number in (1, 2)] == ["blue", "red"]


async def test_two_records_swap_names_in_one_change_set(store: PostgresRecordStore) -> None:
    names = {1: "red", 2: "blue"}
    await store.commit(change_set(*(put("labels", label(n, name=name)) for n, name in names.items())))
    for version, write in ((2, store.commit), (3, lambda swap: store.apply([swap]))):
        names = {1: names[2], 2: names[1]}
        swap = change_set(*(put("labels", _renamed(n, name, version=version)) for n, name in names.items()))
        assert await write(swap) in (None, [None])
        found = await store.fetch("labels", [numbered_id(1), numbered_id(2)])
        assert {n: found[numbered_id(n)]["name"] for n in names} == names


async def test_rejected_change_sets_do_not_affect_the_others_of_a_large_batch(
    store: PostgresRecordStore,
) -> None:
    await store.apply([change_set(put("labels", label(500, name="taken")))])
    changes = [change_set(put("tasks", task(number))) for number in range(200)]
    changes[17] = change_set(put("tasks", task(17, title="a\x00b")))
    changes[120] = change_set(put("labels", label(120, name="taken")))
    changes[199] = change_set(put("tasks", task(199, priority="high")))
    outcomes = await apply_each(store.apply, changes)
    refused = {place: reason_of(outcome) for place, outcome in enumerate(outcomes) if outcome is not None}
    assert refused.keys() == {17, 120, 199}
    assert "NUL" in refused[17]
    assert "name" in refused[120]
    assert "taken" not in refused[120].replace("already taken", "")
    assert "high" not in refused[199]
    assert len(await store.scan("tasks", after=None, limit=500)) == 197


async def test_batches_larger_than_one_statement_are_applied(store: PostgresRecordStore) -> None:
    changes = [change_set(put("tasks", task(number))) for number in range(STATEMENT_ROWS_MAX)]
    assert await store.apply(changes) == [None] * STATEMENT_ROWS_MAX
    assert len(await store.scan("audit_logs", after=None, limit=5_000)) == STATEMENT_ROWS_MAX


async def test_one_statement_takes_a_bounded_number_of_bytes(
    store: PostgresRecordStore, prepared_url: str
) -> None:
    long = "x" * (STATEMENT_BYTES_MAX // 4)
    changes = [change_set(put("tasks", {**task(number), "description": long})) for number in range(9)]
    assert await store.apply(changes) == [None] * 9
    with psycopg.connect(prepared_url) as connection:
        ((statements,),) = connection.execute("SELECT count(DISTINCT xmin::text) FROM postgres_tasks")
    assert statements == -(-9 // (STATEMENT_BYTES_MAX // changes[0].rough_bytes))


async def test_an_entry_of_another_id_for_the_same_version_is_rejected(store: PostgresRecordStore) -> None:
    change = put("tasks", task(1))
    assert await store.apply([ChangeSet((change,), (entry(change),))]) == [None]
    later = put("tasks", task(1, version=2))
    usurper = {**entry(change), "id": numbered_id(77)}
    outcomes = await store.apply([ChangeSet((later,), (usurper,))])
    assert isinstance(outcomes[0], Rejection)
    assert (await store.fetch("tasks", [numbered_id(1)]))[numbered_id(1)]["version"] == 1


async def test_a_taken_key_is_named_by_its_fields(store: PostgresRecordStore) -> None:
    await store.commit(change_set(put("labels", label(1, name="red"))))
    for puts in (
        [put("labels", label(2, name="red"))],
        [put("labels", label(n, name="red")) for n in (3, 4)],
    ):
        with pytest.raises(AlreadyExists) as refusal:
            await store.commit(change_set(*puts))
        assert refusal.value.fields == ("nameKey",)
    assert len(await store.scan("labels", after=None, limit=10)) == 1


async def test_a_locked_row_is_reported_and_nothing_hangs(
    store: PostgresRecordStore, prepared_url: str
) -> None:
    await store.commit(change_set(put("tasks", task(1))))
    hasty = PostgresRecordStore(prepared_url, statement_timeout_ms=100)
    await hasty.open()
    with psycopg.connect(prepared_url) as other:
        other.execute("SELECT 1 FROM postgres_tasks FOR UPDATE")
        with pytest.raises(StoreUnavailable):
            await hasty.commit(change_set(put("tasks", task(1, version=2))))
    await hasty.commit(change_set(put("tasks", task(1, version=2))))
    await hasty.close()


async def test_plans_from_before_a_migration_are_made_anew(
    store: PostgresRecordStore, prepared_url: str
) -> None:
    await store.commit(change_set(put("labels", label(1, name="red"))))
    for _ in range(3):
        await store.fetch("labels", [numbered_id(1)])
    with psycopg.connect(prepared_url, autocommit=True) as other:
        other.execute('ALTER TABLE postgres_labels ALTER COLUMN color TYPE varchar(50) COLLATE "C"')
        found = await store.fetch("labels", [numbered_id(1)])
        other.execute('ALTER TABLE postgres_labels ALTER COLUMN color TYPE text COLLATE "C"')
    assert found[numbered_id(1)]["name"] == "red"


async def test_a_database_without_tables_says_what_to_do(postgres_url: str) -> None:
    store = PostgresRecordStore(postgres_url)
    await store.open()
    with pytest.raises(StoreUnavailable, match="tandem migrate up"):
        await store.fetch("tasks", [numbered_id(1)])
    await store.prepare()
    assert await store.fetch("tasks", [numbered_id(1)]) == {}
    await store.close()


DEFERRED = (
    "CREATE FUNCTION deferred() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
    " IF {condition} THEN RAISE EXCEPTION 'Not today'; END IF; RETURN NULL; END$$;"
    "CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE ON postgres_labels"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION deferred()"
)
NOT_DEFERRED = "DROP FUNCTION IF EXISTS deferred CASCADE"
DEFERRED_KEY = (
    "CREATE TABLE colours (name text COLLATE \"C\" PRIMARY KEY); INSERT INTO colours VALUES ('#888888');"
    "ALTER TABLE postgres_labels ADD CONSTRAINT known_colour FOREIGN KEY (color) REFERENCES colours"
    " DEFERRABLE INITIALLY DEFERRED"
)
NO_DEFERRED_KEY = "DROP TABLE colours CASCADE"


async def test_a_row_rejected_at_the_commit_is_isolated_with_the_server_s_own_words(
    store: PostgresRecordStore, altered: Altered
) -> None:
    changes: list[ChangeSet] = []
    with altered(DEFERRED.format(condition="NEW.name = 'Label 3'"), undone_by=NOT_DEFERRED):
        # Statements that a connection sends for the first time, and those that it knows.
        for version in (1, 2):
            changes = [change_set(put("labels", label(number, version=version))) for number in range(1, 6)]
            outcomes = await apply_each(store.apply, changes)
            (place,) = (place for place, outcome in enumerate(outcomes) if outcome is not None)
            rejection = outcomes[place]
            assert isinstance(rejection, Rejection)
            assert (place, rejection.sqlstate) == (2, "P0001")
            assert rejection.reason.startswith("Not today, raised by the function deferred()")
    assert await store.apply(changes) == [None] * len(changes)


async def test_a_rule_checked_at_the_commit_is_named_with_its_constraint_and_table(
    store: PostgresRecordStore, altered: Altered
) -> None:
    with altered(DEFERRED_KEY, undone_by=NO_DEFERRED_KEY):
        fitting = change_set(put("labels", label(1, color="#888888")))
        (arrived, rejected) = await apply_each(
            store.apply, [fitting, change_set(put("labels", label(2, color="#ffffff")))]
        )
        loaded = await store.load("labels", [label(3, color="#ffffff")], checkpoint=None)
    assert arrived is None
    for rejection in (rejected, *loaded.rejected.values()):
        assert isinstance(rejection, Rejection)
        named = (rejection.sqlstate, rejection.constraint, rejection.table)
        assert named == ("23503", "known_colour", "postgres_labels")


async def test_a_table_that_rejects_every_row_at_the_commit_is_blocked(
    store: PostgresRecordStore, altered: Altered
) -> None:
    await store.apply([change_set(put("labels", label(1)))])
    with altered(DEFERRED.format(condition="true"), undone_by=NOT_DEFERRED):
        outcomes = await apply_each(
            store.apply, [change_set(put("labels", label(2))), change_set(put("tasks", task(1)))]
        )
    blocked, arrived = outcomes
    assert isinstance(blocked, Blocked)
    assert (blocked.place, blocked.sqlstate, arrived) == ("postgres_labels", "P0001", None)


DROPPING = (
    "CREATE FUNCTION dropping() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;"
    "CREATE TRIGGER dropping BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION dropping()"
)
RAISING = (
    "CREATE FUNCTION raising() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
    " RAISE EXCEPTION 'We do not want %', NEW.name USING ERRCODE = '{state}'; END$$;"
    "CREATE TRIGGER raising BEFORE INSERT OR UPDATE ON postgres_labels FOR EACH ROW EXECUTE FUNCTION raising()"
)
QUOTED = (
    'CREATE FUNCTION "Our (rule)"() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN'
    " IF NEW.name = 'Label 2' THEN RAISE EXCEPTION 'no' USING ERRCODE = '55006'; END IF; RETURN NEW; END$$;"
    "CREATE TRIGGER quoted BEFORE INSERT ON postgres_labels"
    ' FOR EACH ROW EXECUTE FUNCTION "Our (rule)"()'
)
NO_TRIGGER = "DROP FUNCTION IF EXISTS dropping, raising, deferred CASCADE"
BY_HAND = [
    (
        "ALTER TABLE postgres_labels ADD CONSTRAINT short CHECK (name <> 'Label 2') NOT VALID",
        "ALTER TABLE postgres_labels DROP CONSTRAINT short",
        ("the rule short", "postgres_labels", "23514"),
    ),
    (
        "CREATE UNIQUE INDEX by_color ON postgres_labels (color)",
        "DROP INDEX by_color",
        ("the rule by_color", "postgres_labels", "23505"),
    ),
    (
        "ALTER TABLE postgres_labels ADD CONSTRAINT apart EXCLUDE (color WITH =)",
        "ALTER TABLE postgres_labels DROP CONSTRAINT apart",
        ("the rule apart", "postgres_labels", "23P01"),
    ),
    (
        "UPDATE postgres_labels SET synced_at = now(); ALTER TABLE postgres_labels ALTER synced_at SET NOT NULL",
        "ALTER TABLE postgres_labels ALTER synced_at DROP NOT NULL",
        ("synced_at", "postgres_labels", "23502"),
    ),
    (f"{DEFERRED_KEY} NOT VALID", NO_DEFERRED_KEY, ("the rule known_colour", "postgres_labels", "23503")),
    (
        DEFERRED.format(condition="NEW.name = 'Label 2'"),
        NO_TRIGGER,
        ("function deferred()", "the trigger deferred of the table postgres_labels", "P0001"),
    ),
    (
        QUOTED,
        'DROP FUNCTION "Our (rule)" CASCADE',
        ('the function "Our (rule)"()', "the trigger quoted of the table postgres_labels", "55006"),
    ),
    (
        'ALTER TABLE postgres_labels ALTER name TYPE varchar(6) COLLATE "C" USING left(name, 6)',
        'ALTER TABLE postgres_labels ALTER name TYPE text COLLATE "C"',
        ("a changed column", "22001"),
    ),
    (
        "CREATE RULE trouble AS ON INSERT TO postgres_labels DO INSTEAD NOTHING",
        "DROP RULE trouble ON postgres_labels",
        ("the rule trouble of the table postgres_labels",),
    ),
    *(
        (
            RAISING.format(state=state),
            NO_TRIGGER,
            ("function raising()", "the trigger raising of the table postgres_labels", state),
        )
        for state in ("P0001", "23514", "23505", "22001", "40001", "08001", "57014", "42P01")
    ),
    *(
        (
            DROPPING.format(event=event, table=table),
            NO_TRIGGER,
            ("without an error", f"the trigger dropping of the table {table}"),
        )
        for event, table in (("INSERT OR UPDATE", "postgres_labels"), ("INSERT", "postgres_audit_logs"))
    ),
]


@pytest.mark.parametrize(("change", "undone_by", "named"), BY_HAND, ids=[" ".join(row[2]) for row in BY_HAND])
async def test_a_rule_made_by_hand_is_the_store_s_fault_and_named(
    store: PostgresRecordStore, altered: Altered, change: str, undone_by: str, named: tuple[str, ...]
) -> None:
    color = "#123456"
    await store.commit(change_set(put("labels", label(1, color=color))))
    commits = (
        change_set(put("labels", label(2, color=color))),
        # Not one statement but a transaction.
        change_set(put("labels", label(2, color=color)), put("tasks", task(2))),
    )
    with altered(change, undone_by=undone_by):
        for changes in commits:
            for call in (store.commit, store.rehearse):
                with pytest.raises(StoreUnavailable) as refusal:
                    await call(changes)
                assert refusal.value.is_of_the_store
                assert [words for words in named if words not in refusal.value.message] == []
                assert "Label 2" not in refusal.value.message
    assert await _ids(store) == ({numbered_id(1)}, set(), 1)
    await store.rehearse(commits[1])
    assert await _ids(store) == ({numbered_id(1)}, set(), 1)
    await store.commit(commits[1])
    assert await _ids(store) == ({numbered_id(1), numbered_id(2)}, {numbered_id(2)}, 3)


async def _ids(store: PostgresRecordStore) -> tuple[set[str], set[str], int]:
    """The ids of the labels and the tasks, and the number of entries."""
    labels, tasks, entries = [
        await store.scan(collection, after=None, limit=10) for collection in ("labels", "tasks", "audit_logs")
    ]
    return {one["id"] for one in labels}, {one["id"] for one in tasks}, len(entries)


async def test_a_dropped_change_of_a_record_is_no_conflict(
    store: PostgresRecordStore, altered: Altered
) -> None:
    await store.commit(change_set(put("labels", label(1))))
    with altered(DROPPING.format(event="UPDATE", table="postgres_labels"), undone_by=NO_TRIGGER):
        with pytest.raises(StoreUnavailable, match="the trigger dropping of the table postgres_labels"):
            await store.commit(change_set(put("labels", _renamed(1, "new", version=2))))
        with pytest.raises(VersionConflict):
            await store.commit(change_set(put("labels", _renamed(1, "new", version=3))))
    await store.commit(change_set(put("labels", _renamed(1, "new", version=2))))
