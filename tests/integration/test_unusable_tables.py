"""Tables that the account cannot use: no record is to blame, whether every change needs them or only some do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from adapters.observability.recent_errors import RECENT_SECONDS, TRIAL_SECONDS, RecentErrors
from adapters.observability.watched_store import WatchedStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import Blocked, ChangeSet
from adapters.records.criteria import AllOf, Question
from adapters.records.isolation import apply_each
from domain.errors import StoreUnavailable
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import read_settings
from entrypoints.composition.start import start
from entrypoints.composition.store_stack import StoreStack
from tests.servers.tables import PreparedDatabase
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, entry, label, put, task
from tests.unit.contracts.lanes import FOREIGN, admitted

SHOWN_SECONDS_MAX = 5.0
STARTED_SECONDS_MAX = 15.0


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


HIDDEN = (
    "Row-level security hides rows of the table postgres_labels from the account of Tandem, so that nothing is read or"
    " written there. Turn it off: ALTER TABLE postgres_labels DISABLE ROW LEVEL SECURITY. Or exempt the account: ALTER"
    " ROLE … BYPASSRLS."
)
HIDING = (
    "ALTER TABLE postgres_labels ENABLE ROW LEVEL SECURITY; ALTER TABLE postgres_labels FORCE ROW LEVEL SECURITY;"
    "CREATE POLICY gate ON postgres_labels USING ({condition}) WITH CHECK ({condition})"
)
SHOWING = "DROP POLICY gate ON postgres_labels; ALTER TABLE postgres_labels DISABLE ROW LEVEL SECURITY"


@pytest.mark.parametrize("known", [0, 3])
@pytest.mark.parametrize("condition", ["false", "name <> 'Label 11'"])
async def test_a_table_whose_rows_a_policy_may_hide_is_blocked(
    store: PostgresRecordStore, database: PreparedDatabase, role: str, known: int, condition: str
) -> None:
    await apply_each(store.apply, [change_set(put("labels", label(number))) for number in range(known)])
    changes = [change_set(put("labels", label(number))) for number in range(10, 13)]
    with _brought_about(
        Trouble("postgres_labels", HIDING.format(condition=condition), SHOWING), database.url, role
    ):
        outcomes = await apply_each(store.apply, [*changes, _arriving(2)])
    assert outcomes.pop() is None
    for outcome in outcomes:
        assert isinstance(outcome, Blocked)
        assert (outcome.place, outcome.record_id, outcome.sqlstate) == ("postgres_labels", None, "42501")
        assert f"{HIDDEN} (SQLSTATE 42501)" in outcome.cause
    assert await apply_each(store.apply, changes) == [None] * 3


READS: dict[str, Callable[[PostgresRecordStore], Awaitable[object]]] = {
    "fetch": lambda store: store.fetch("labels", [numbered_id(1)]),
    "fetch many": lambda store: store.fetch("labels", [numbered_id(1), numbered_id(2)]),
    "gather": lambda store: store.gather({"labels": [numbered_id(1)], "tasks": [numbered_id(1)]}),
    "find": lambda store: store.find(Question(collection="labels", limit=5)),
    "count": lambda store: store.count("labels", AllOf(())),
    "scan": lambda store: store.scan("labels", after=None, limit=5),
    "raw_scan": lambda store: store.raw_scan("labels", after=None, limit=5),
    "raw_count": lambda store: store.raw_count("labels"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_read_is_short_because_a_policy_hides_rows(
    store: PostgresRecordStore,
    database: PreparedDatabase,
    role: str,
    read: Callable[[PostgresRecordStore], Awaitable[object]],
) -> None:
    await store.apply([change_set(put("labels", label(1))), change_set(put("labels", label(2)))])
    before = await read(store)
    hiding = Trouble("postgres_labels", HIDING.format(condition="name = 'Label 2'"), SHOWING)
    with _brought_about(hiding, database.url, role), pytest.raises(StoreUnavailable) as refused:
        await read(store)
    assert refused.value.message == HIDDEN
    assert refused.value.names_remedy
    assert await read(store) == before


async def test_hidden_rows_are_shown_until_they_can_be_read_whatever_works_in_other_tables(
    store: PostgresRecordStore, database: PreparedDatabase, role: str
) -> None:
    errors = RecentErrors(store, rehearsing=store)
    watched = WatchedStore(store, errors)
    hiding = Trouble("postgres_labels", HIDING.format(condition="name = 'Label 2'"), SHOWING)
    with _brought_about(hiding, database.url, role):
        for call in (watched.find(Question(collection="labels", limit=5)), watched.commit(_creation(1))):
            with pytest.raises(StoreUnavailable):
                await call
        for number in range(5, 8):
            await watched.commit(change_set(put("tasks", task(number))))
            await watched.fetch("tasks", [numbered_id(number)])
        await asyncio.sleep(RECENT_SECONDS)
        assert await _trouble(errors) == HIDDEN
    await asyncio.sleep(TRIAL_SECONDS)
    assert await _trouble(errors) is None
    await watched.commit(_creation(1))


async def _trouble(errors: RecentErrors) -> str | None:
    await errors.check()
    return errors.trouble


def _creation(number: int) -> ChangeSet:
    return change_set(put("labels", label(number)))


async def test_a_start_that_waits_because_rows_are_hidden_says_so(
    prepared_postgres_url: str, role: str, tmp_path: Path
) -> None:
    hiding = Trouble("postgres_roles", *(words.replace("labels", "roles") for words in (HIDING, SHOWING)))
    hiding = replace(hiding, before=hiding.before.format(condition="false"))
    variables = {"APP_ENV": "test", "STORE": "postgres", "DATA_DIR": str(tmp_path / "data")}
    with psycopg.connect(prepared_postgres_url, autocommit=True) as connection:
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    container = build_container(
        read_settings({**variables, "POSTGRES_URL": f"{prepared_postgres_url}&user={role}"})
    )
    stack = container.stack()
    with _brought_about(hiding, prepared_postgres_url, role):
        starting = asyncio.create_task(start(container))
        await _until(stack, "DOWN", HIDDEN.replace("labels", "roles"))
        assert not starting.done()
    await asyncio.wait_for(starting, STARTED_SECONDS_MAX)
    await _until(stack, "UP", None)
    await stack.close()
    with psycopg.connect(prepared_postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role}")


async def _until(stack: StoreStack, status: str, detail: str | None) -> None:
    """Waits until the health of the source is this."""
    async with asyncio.timeout(SHOWN_SECONDS_MAX):
        while True:
            health = (await stack.components())["db"]
            if (health.status, health.detail) == (status, detail):
                return
            await asyncio.sleep(0.1)
