"""PostgreSQL frozen, killed and restarted under a store: callers leave in time, and the pool mends itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.observability.recent_errors import RECENT_SECONDS, TRIAL_SECONDS
from adapters.postgres.migrate import upgrade
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet
from adapters.records.record_store import RecordStore
from domain.errors import StoreUnavailable
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import read_settings
from tests.servers.directories import open_directory
from tests.servers.postgres import OwnPostgresServer
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, label, put, task

CALLERS = 20
"""More than the pool has connections."""
POOL_MAX = 8
TIMEOUT_SECONDS = 0.3
GRACE_SECONDS = 0.15
"""How late a caller may return on a busy machine; psycopg's own cancellation takes up to ten seconds."""
STALLED_SECONDS_MAX = 1.0
"""How late a caller may return in the round in which the machine itself stood still."""
ROUNDS = 5
HEALED_SECONDS_MAX = 5.0

Call = Callable[[RecordStore, int], Awaitable[object]]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgresServer]:
    """A server of this module, with tables; every test leaves it running."""
    with open_directory() as directory:
        server = OwnPostgresServer(directory / "postgres")
        upgrade(server.url)
        yield server
        server.close()


@pytest.fixture
async def store(server: OwnPostgresServer) -> AsyncIterator[PostgresRecordStore]:
    store = PostgresRecordStore(
        server.url, pool_max=POOL_MAX, connect_timeout_ms=1_000, statement_timeout_ms=2_000
    )
    await store.open()
    yield store
    server.thaw()  # also after a test that failed while the server was frozen
    await store.close()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("TRUNCATE postgres_tasks, postgres_audit_logs")


def _creation(number: int) -> ChangeSet:
    return change_set(put("tasks", task(number)))


async def _apply(store: RecordStore, number: int) -> object:
    return await store.apply([_creation(number)])


async def _commit(store: RecordStore, number: int) -> None:
    await store.commit(_creation(number))


async def _fetch(store: RecordStore, number: int) -> object:
    return await store.fetch("tasks", [numbered_id(number)])


async def _busy(store: RecordStore) -> None:
    """Fills the pool, so that every connection is known to the server."""
    await asyncio.gather(*(_apply(store, number) for number in range(CALLERS)))


async def _seconds_until_timeout(call: Awaitable[object]) -> float:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call, TIMEOUT_SECONDS)
    return time.monotonic() - started


async def _seconds_until_healed(store: RecordStore) -> float:
    """How long until as many callers as the pool has connections are served at once, and none of them fails."""
    started = time.monotonic()
    while time.monotonic() - started < HEALED_SECONDS_MAX:
        answers = await asyncio.gather(
            *(_fetch(store, number) for number in range(POOL_MAX)), return_exceptions=True
        )
        if not any(isinstance(answer, StoreUnavailable) for answer in answers):
            assert all(isinstance(answer, dict) for answer in answers), answers
            return time.monotonic() - started
        await asyncio.sleep(0.02)
    pytest.fail(f"the pool did not mend itself within {HEALED_SECONDS_MAX} seconds")


@pytest.mark.alone
@pytest.mark.parametrize("call", [_apply, _commit, _fetch])
async def test_callers_of_a_frozen_server_leave_at_their_time_out(
    store: PostgresRecordStore, server: OwnPostgresServer, call: Call
) -> None:
    await _busy(store)
    server.freeze()
    slowest: list[float] = []
    for _ in range(ROUNDS):
        waits = await asyncio.gather(
            *(_seconds_until_timeout(call(store, number)) for number in range(100, 100 + CALLERS))
        )
        slowest.append(max(waits))
    server.thaw()
    # The machine may stand still in one round; a caller that waits for the server is late in all of them.
    assert sorted(slowest)[-2] < TIMEOUT_SECONDS + GRACE_SECONDS, slowest
    assert max(slowest) < TIMEOUT_SECONDS + STALLED_SECONDS_MAX, slowest
    assert await _seconds_until_healed(store) < 2.0


async def test_a_frozen_server_is_reported_without_any_caller_s_time_out(
    store: PostgresRecordStore, server: OwnPostgresServer
) -> None:
    await _busy(store)
    server.freeze()
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    assert time.monotonic() - started < 1.5
    with pytest.raises(StoreUnavailable):
        await store.apply([_creation(100)])
    assert time.monotonic() - started < 6.0
    server.thaw()
    assert await _seconds_until_healed(store) < 2.0


async def test_work_given_up_on_a_frozen_server_is_repeated_safely(
    store: PostgresRecordStore, server: OwnPostgresServer
) -> None:
    await _busy(store)
    server.freeze()
    await asyncio.gather(
        *(_seconds_until_timeout(_apply(store, number)) for number in range(100, 100 + CALLERS))
    )
    server.thaw()
    await _seconds_until_healed(store)
    changes = [_creation(number) for number in range(100, 100 + CALLERS)]
    assert await store.apply(changes) == [None] * CALLERS
    entries = await store.fetch("audit_logs", [id_ for change in changes for id_ in change.entry_ids])
    assert len(entries) == CALLERS


async def test_a_restarted_server_is_used_again_at_once(
    store: PostgresRecordStore, server: OwnPostgresServer
) -> None:
    await _busy(store)
    server.kill()
    with pytest.raises(StoreUnavailable):
        await store.apply([_creation(100)])
    await asyncio.to_thread(server.restart)
    assert await _seconds_until_healed(store) < 2.0
    assert len(await store.scan("tasks", after=None, limit=100)) == CALLERS


async def test_a_server_that_takes_no_connection_any_more_is_named_to_every_caller(
    store: PostgresRecordStore, server: OwnPostgresServer
) -> None:
    await _busy(store)
    database = conninfo_to_dict(server.url)["dbname"]
    close = f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS'
    with psycopg.connect(make_conninfo(server.url, dbname="template1"), autocommit=True) as other:
        other.execute(f"{close} false")
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tandem'"
        )
        try:
            for call in (_fetch, _apply, _commit):
                with pytest.raises(StoreUnavailable, match="ALTER DATABASE … ALLOW_CONNECTIONS true"):
                    await call(store, 100)
        finally:
            other.execute(f"{close} true")
    assert await _seconds_until_healed(store) < 2.0
    assert len(await store.scan("tasks", after=None, limit=100)) == CALLERS


async def test_connections_lost_while_idle_fail_no_caller(
    store: PostgresRecordStore, server: OwnPostgresServer
) -> None:
    await _busy(store)
    with psycopg.connect(server.url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tandem'"
        )
    answers = await asyncio.gather(*(_fetch(store, number) for number in range(CALLERS)))
    assert all(isinstance(answer, dict) and len(answer) == 1 for answer in answers)


class CuttingProxy:
    """Stands between a store and its server and hangs up once: before the next request, or before the next answer."""

    def __init__(self, url: str, directory: Path) -> None:
        self._server_socket = f"{conninfo_to_dict(url)['host']}/.s.PGSQL.5432"
        self._own_socket = directory / ".s.PGSQL.5432"
        self.url = make_conninfo(url, host=str(directory))
        self.cut_before_request = False
        self.cut_before_answer = False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with await asyncio.start_unix_server(self._serve, self._own_socket):
            yield

    async def _serve(self, caller_in: asyncio.StreamReader, caller_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_unix_connection(self._server_socket)
        requests = asyncio.ensure_future(self._pass_requests(caller_in, server_out))
        while answer := await server_in.read(65_536):
            if self.cut_before_answer:
                self.cut_before_answer = False
                break
            caller_out.write(answer)
        caller_out.close()
        await requests

    async def _pass_requests(self, caller_in: asyncio.StreamReader, server_out: asyncio.StreamWriter) -> None:
        while request := await caller_in.read(65_536):
            if self.cut_before_request:
                self.cut_before_request = False
                break
            server_out.write(request)
        server_out.close()


@pytest.fixture
async def proxy(server: OwnPostgresServer, tmp_path: Path) -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(server.url, tmp_path)
    async with proxy.serving():
        yield proxy


async def test_a_commit_whose_answer_was_lost_is_looked_up(
    store: PostgresRecordStore, proxy: CuttingProxy
) -> None:
    behind = PostgresRecordStore(proxy.url, pool_max=1)
    await behind.open()
    await behind.fetch("tasks", [numbered_id(0)])
    # The connection knows the statement already: the next answer is that of its execution.
    await behind.commit(_creation(0))
    changes = _creation(1)
    proxy.cut_before_answer = True
    await behind.commit(changes)
    assert not proxy.cut_before_answer
    assert len(await store.fetch("audit_logs", changes.entry_ids)) == 1
    await behind.close()


async def test_a_commit_that_never_arrived_is_reported_and_changes_nothing(
    store: PostgresRecordStore, proxy: CuttingProxy
) -> None:
    behind = PostgresRecordStore(proxy.url, pool_max=1)
    await behind.open()
    await behind.fetch("tasks", [numbered_id(0)])
    proxy.cut_before_request = True
    with pytest.raises(StoreUnavailable):
        await behind.commit(_creation(1))
    assert await store.scan("tasks", after=None, limit=10) == []
    assert await store.scan("audit_logs", after=None, limit=10) == []
    await behind.close()


async def test_a_read_whose_answer_was_lost_is_asked_again(
    store: PostgresRecordStore, proxy: CuttingProxy
) -> None:
    await store.commit(_creation(1))
    behind = PostgresRecordStore(proxy.url, pool_max=1)
    await behind.open()
    await behind.fetch("tasks", [numbered_id(0)])
    proxy.cut_before_answer = True
    assert len(await behind.fetch("tasks", [numbered_id(1)])) == 1
    assert not proxy.cut_before_answer
    await behind.close()


async def test_abandoned_callers_leave_no_connection_behind(store: PostgresRecordStore) -> None:
    await _busy(store)
    for round_number in range(30):
        calls = [asyncio.ensure_future(_fetch(store, number)) for number in range(CALLERS)]
        # Some are waiting for a connection, some for an answer, some are done.
        await asyncio.sleep(round_number / 10_000)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert await _seconds_until_healed(store) < 2.0


async def test_a_store_opens_again_after_it_was_closed(store: PostgresRecordStore) -> None:
    await store.commit(_creation(1))
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await store.open()
    assert len(await store.scan("tasks", after=None, limit=10)) == 1


async def test_callers_of_a_store_that_could_not_be_opened_are_told_why(server: OwnPostgresServer) -> None:
    store = PostgresRecordStore(f"{server.url}&dbname=nowhere")
    with pytest.raises(StoreUnavailable, match="The database does not exist in PostgreSQL"):
        await store.open()
    for call in (
        store.ping(),
        store.fetch("tasks", [numbered_id(1)]),
        store.commit(change_set(put("tasks", task(1)))),
    ):
        with pytest.raises(StoreUnavailable, match="The database does not exist in PostgreSQL"):
            await call
    await store.close()


async def test_a_wrong_address_is_known_when_the_store_opens(server: OwnPostgresServer) -> None:
    absent = PostgresRecordStore(f"{server.url}&dbname=absent")
    with pytest.raises(StoreUnavailable):
        await absent.open()
    await absent.close()


@contextmanager
def _refusing(server: OwnPostgresServer, statements: str, *, undone_by: str) -> Iterator[str]:
    """The address of an account with which a server does something by hand."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE visitor LOGIN")
        try:
            admin.execute(statements.encode())
            yield server.url.replace("://tandem@", "://visitor@")
        finally:
            admin.execute(undone_by.encode())
            admin.execute("DROP ROLE visitor")


LOGIN_TRIGGER = (
    "CREATE FUNCTION closed() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN"
    " IF session_user = 'visitor' THEN RAISE EXCEPTION 'No such file until 6 for visitor'; END IF; END$$;"
    "CREATE EVENT TRIGGER closed ON login EXECUTE FUNCTION closed()"
)


@pytest.mark.parametrize(
    ("statements", "undone_by", "cause"),
    [
        (
            "ALTER ROLE visitor SET session_preload_libraries = 'absent'",
            "ALTER ROLE visitor RESET ALL",
            'It says: could not access file "absent": No such file or directory',
        ),
        (LOGIN_TRIGGER, "DROP FUNCTION closed CASCADE", "It says: No such file until 6 for …"),
        ("ALTER ROLE visitor NOLOGIN", "SELECT 1", "NOLOGIN"),
    ],
    ids=["a library that is missing", "a trigger on logins", "no login"],
)
async def test_a_refused_connection_is_explained_in_the_server_s_words(
    server: OwnPostgresServer, statements: str, undone_by: str, cause: str
) -> None:
    with _refusing(server, statements, undone_by=undone_by) as url:
        refused = PostgresRecordStore(url)
        with pytest.raises(StoreUnavailable) as refusal:
            await refused.open()
        await refused.close()
    assert cause in refusal.value.message
    assert "visitor" not in refusal.value.message


@contextmanager
def _rejecting_by_configuration(server: OwnPostgresServer) -> Iterator[str]:
    """The address of an account that pg_hba.conf rejects; that of the other tests stays accepted."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        ((path,),) = admin.execute("SHOW hba_file").fetchall()
        file = Path(path)
        rules = file.read_text()
        file.write_text(f"local all visitor reject\n{rules}")
        try:
            admin.execute("SELECT pg_reload_conf()")
            yield server.url.replace("://tandem@", "://visitor@")
        finally:
            file.write_text(rules)
            admin.execute("SELECT pg_reload_conf()")


async def test_a_connection_that_pg_hba_rejects_is_explained_in_the_server_s_words(
    server: OwnPostgresServer,
) -> None:
    with _rejecting_by_configuration(server) as url:
        words = "pg_hba.conf rejects connection for host …, user …"
        refusal = await _refusal_with(PostgresRecordStore(url), words)
    assert refusal.startswith("PostgreSQL refuses the connection.")


async def _refusal_with(store: RecordStore, words: str) -> str:
    """Why a store does not open, once the server has read its configuration."""
    deadline = time.monotonic() + HEALED_SECONDS_MAX
    while True:
        with pytest.raises(StoreUnavailable) as refusal:
            await store.open()
        if words in refusal.value.message:
            return refusal.value.message
        assert time.monotonic() < deadline, refusal.value.message
        await asyncio.sleep(0.05)


REFUSING = (
    "CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'Not today'; END$$;"
    "CREATE TRIGGER closed BEFORE INSERT ON postgres_tasks FOR EACH ROW EXECUTE FUNCTION closed()"
)


async def test_a_source_is_down_while_its_last_write_would_fail_again(
    server: OwnPostgresServer, tmp_path: Path
) -> None:
    url = server.create_prepared_database()
    settings = {"APP_ENV": "test", "STORE": "postgres", "POSTGRES_URL": url, "DATA_DIR": str(tmp_path)}
    stack = build_container(read_settings(settings)).stack()
    await stack.open(within_seconds=HEALED_SECONDS_MAX)
    with psycopg.connect(url, autocommit=True) as beside:
        beside.execute(REFUSING.encode())
        with pytest.raises(StoreUnavailable, match="the trigger closed of the table postgres_tasks"):
            await stack.store.commit(_creation(1))
        # What works in other tables shows nothing about this one.
        await stack.store.commit(change_set(put("labels", label(1))))
        await asyncio.sleep(RECENT_SECONDS + TRIAL_SECONDS)
        source = (await stack.components())["db"]
        assert source.status == "DOWN"
        assert "the trigger closed of the table postgres_tasks" in (source.reason or "")

        beside.execute("DROP FUNCTION closed CASCADE")
        deadline = time.monotonic() + HEALED_SECONDS_MAX
        while (await stack.components())["db"].status != "UP":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        assert beside.execute("SELECT count(*) FROM postgres_tasks").fetchall() == [(0,)]
    await stack.close()
    server.drop_database(url)
