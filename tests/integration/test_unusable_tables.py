"""Tables that the account cannot use: no record is to blame, whether every change needs them or only some do."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import Blocked, ChangeSet, Rejection
from adapters.records.isolation import apply_each
from domain.errors import StoreUnavailable
from tests.servers.tables import PreparedDatabase
from tests.unit.contracts.builders import change_set, entry, label, put, task
from tests.unit.contracts.lanes import FOREIGN, admitted


@pytest.fixture(scope="module")
def role(database: PreparedDatabase) -> Iterator[str]:
    """An account that is no superuser and owns no table."""
    name = f"mirror_{secrets.token_hex(4)}"
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        yield name
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
async def store(database: PreparedDatabase, role: str) -> AsyncIterator[PostgresRecordStore]:
    store = PostgresRecordStore(f"{database.url}&user={role}")
    await store.open()
    await admitted(store)
    assert await store.apply([_arriving(1)]) == [None]
    yield store
    await store.close()
    database.empty()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Statements of a superuser, with {role} filled in; `holding` stays open until it is put right."""

    table: str
    before: str = ""
    after: str = ""
    holding: str = ""


def _revoked(privilege: str, table: str) -> Trouble:
    return Trouble(
        table, f"REVOKE {privilege} ON {table} FROM {{role}}", f"GRANT {privilege} ON {table} TO {{role}}"
    )


def _raising(state: str, table: str, *, level: str = "ROW") -> Trouble:
    return Trouble(
        table,
        "CREATE FUNCTION raising() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END$$;"
        f" CREATE TRIGGER raising BEFORE INSERT OR UPDATE ON {table}"
        f" FOR EACH {level} EXECUTE FUNCTION raising()",
        "DROP FUNCTION raising CASCADE",
    )


def _altered(table: str, before: str, after: str) -> Trouble:
    return Trouble(table, f"ALTER TABLE {table} {before}", f"ALTER TABLE {table} {after}")


LANES, SEEN = "tandem_lanes", "tandem_seen"
TROUBLES = {
    **{
        f"no {what} on {table}": _revoked(what, table)
        for table in (LANES, SEEN)
        for what in ("INSERT", "UPDATE")
    },
    **{
        f"{state} on {table}": _raising(state, table)
        for table in (LANES, SEEN)
        for state in ("08001", "25006", "42501", "57014", "P0001", "23514")
    },
    "55P03 for each statement": _raising("55P03", SEEN, level="STATEMENT"),
    "row-level security": _altered(SEEN, "ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY"),
    "a renamed column": _altered(SEEN, "RENAME cut TO cutoff", "RENAME cutoff TO cut"),
    "a renamed table": Trouble(
        SEEN, "ALTER TABLE tandem_seen RENAME TO away", "ALTER TABLE away RENAME TO tandem_seen"
    ),
    "a CHECK": _altered(SEEN, "ADD CONSTRAINT low CHECK (number < 2)", "DROP CONSTRAINT low"),
    "a lock": Trouble(SEEN, holding="LOCK TABLE tandem_seen IN SHARE MODE"),
}


def _arriving(number: int) -> ChangeSet:
    change = put("tasks", task(number))
    return change_set(change, entries=[entry(change, lane=FOREIGN, laneNumber=number)])


@contextmanager
def _brought_about(trouble: Trouble, url: str, role: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=not trouble.holding) as connection:
        connection.execute(trouble.holding or trouble.before.replace("{role}", role))
        yield
        connection.execute(trouble.after.replace("{role}", role) or "ROLLBACK")


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_a_table_that_every_change_needs_rejects_no_record(
    store: PostgresRecordStore, database: PreparedDatabase, role: str, trouble: Trouble
) -> None:
    changes = [_arriving(number) for number in (2, 3, 4)]
    with _brought_about(trouble, database.url, role):
        for sent in (changes, changes[:1]):
            with pytest.raises(StoreUnavailable, match=f"{trouble.table} cannot be used"):
                await apply_each(store.apply, sent)
    assert await apply_each(store.apply, changes) == [None] * 3
    assert len(await store.scan("tasks", after=None, limit=9)) == 4


HIDING = (
    "ALTER TABLE postgres_labels ENABLE ROW LEVEL SECURITY; ALTER TABLE postgres_labels FORCE ROW LEVEL SECURITY;"
    "CREATE POLICY gate ON postgres_labels USING ({condition}) WITH CHECK ({condition})"
)
SHOWING = "DROP POLICY gate ON postgres_labels; ALTER TABLE postgres_labels DISABLE ROW LEVEL SECURITY"


@pytest.mark.parametrize("known", [0, 3])
async def test_a_table_whose_rows_are_all_hidden_is_blocked(
    store: PostgresRecordStore, database: PreparedDatabase, role: str, known: int
) -> None:
    await apply_each(store.apply, [change_set(put("labels", label(number))) for number in range(known)])
    changes = [change_set(put("labels", label(number))) for number in range(10, 13)]
    with _brought_about(
        Trouble("postgres_labels", HIDING.format(condition="false"), SHOWING), database.url, role
    ):
        outcomes = await apply_each(store.apply, [*changes, _arriving(2)])
    assert outcomes.pop() is None
    for outcome in outcomes:
        assert isinstance(outcome, Blocked)
        assert (outcome.place, outcome.record_id, outcome.sqlstate) == ("postgres_labels", None, "42501")
    assert await apply_each(store.apply, changes) == [None] * 3


async def test_a_record_that_a_policy_does_not_admit_is_rejected_alone(
    store: PostgresRecordStore, database: PreparedDatabase, role: str
) -> None:
    await store.apply([change_set(put("labels", label(1)))])
    changes = [change_set(put("labels", label(number, name=f"name {number}"))) for number in range(10, 13)]
    with _brought_about(
        Trouble("postgres_labels", HIDING.format(condition="name <> 'name 11'"), SHOWING), database.url, role
    ):
        outcomes = await apply_each(store.apply, changes)
    assert (outcomes[0], outcomes[2]) == (None, None)
    assert isinstance(outcomes[1], Rejection)
    assert outcomes[1].sqlstate == "42501"
