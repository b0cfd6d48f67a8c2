"""Copies, clones and strangers, at the start and under a running service, for both kinds of source."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pymongo import MongoClient

from adapters.migration.ownership_change import new_move
from adapters.mongo.record_store import MongoRecordStore
from adapters.ownership import control
from adapters.ownership.control import Role
from adapters.ownership.refusals import OlderSource, StaleOwner, WritesRefused
from adapters.records.criteria import EVERYTHING, IsNull
from adapters.records.lanes import ProcessIdentity
from adapters.records.record_store import StoreRefused
from adapters.records.specs import CONTROL
from entrypoints.cli.check_result import CheckResult
from entrypoints.cli.session import inspected, schema_of
from entrypoints.cli.store_checks import checks_of_stores
from entrypoints.composition.container import Container
from entrypoints.composition.ownership_moves import change_of_owner
from entrypoints.composition.settings import read_settings
from entrypoints.composition.stack_reports import schema_report_of
from tests.integration.ownership_world import (
    START_SECONDS_MAX,
    content,
    copied,
    serving,
    task_ids,
    until,
    until_equal,
    write,
)
from tests.integration.source_turns import SOURCES, sources
from tests.servers.postgres import PostgresServer
from tests.unit.contracts.builders import change_set, entry, numbered_id, put, task

LONG = pytest.mark.torture
"""Cases that differ from another one, or from one in tests/unit/adapters/ownership, in the servers alone."""


def sources_and_moments(*, source: str, is_running: bool) -> pytest.MarkDecorator:
    """Both sources, at the start and while the service runs; all but one in the long form of the tests only."""
    cases = [
        pytest.param(name, moment, marks=() if (name, moment) == (source, is_running) else LONG)
        for name in SOURCES
        for moment in (False, True)
    ]
    return pytest.mark.parametrize(("variables", "is_running"), cases, indirect=["variables"])


@dataclass
class World:
    """A source and a target that can be copied and put back."""

    source: str
    variables: dict[str, str]
    directory: Path
    server_url: str

    @property
    def database(self) -> str:
        return str(conninfo_to_dict(self.variables["POSTGRES_URL"])["dbname"])

    def address_of(self, database: str) -> str:
        """The address of another database of the server."""
        return self.variables["POSTGRES_URL"].replace(f"/{self.database}", f"/{database}", 1)

    def having(self, **variables: str) -> dict[str, str]:
        return {**self.variables, **variables}

    def copy_target(self) -> str:
        """The name of a copy of the target's database."""
        name = f"copy_{secrets.token_hex(4)}"
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{self.database}"', without=self.database)
        return name

    def swap_target(self, other: str) -> None:
        """Puts another database under the target's address; what was there is called `away` afterwards."""
        away = f"away_{secrets.token_hex(4)}"
        self._run(f'ALTER DATABASE "{self.database}" RENAME TO "{away}"', without=self.database)
        self._run(f'ALTER DATABASE "{other}" RENAME TO "{self.database}"', without=other)

    def empty_database(self) -> str:
        name = f"empty_{secrets.token_hex(4)}"
        self._run(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0", without=name)
        return name

    def _run(self, statement: str, *, without: str) -> None:
        """Runs a statement while nobody is connected to a database."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            for _ in range(100):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (without,)
                )
                try:
                    connection.execute(sql.SQL(statement))
                except psycopg.errors.ObjectInUse:
                    continue
                return
            raise AssertionError(statement)

    def copy_source(self) -> dict[str, str]:
        """The settings of a copy of the source that nobody has open, or that is a server's."""
        directory = copied(self.directory, f"copy-{secrets.token_hex(4)}")
        name = f"copy_{secrets.token_hex(4)}"
        if self.source == "mongo":
            _copy_database(self.variables["MONGODB_URI"], self.variables["DB_NAME"], name)
            return {"DATA_DIR": str(directory), "DB_NAME": name}
        return {"DATA_DIR": str(directory)}


def _copy_database(uri: str, source: str, copy: str) -> None:
    with MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(copy)
        for collection in client[source].list_collection_names():
            documents = list(client[source][collection].find())
            if documents:
                client[copy][collection].insert_many(documents)


@pytest.fixture
def world(variables: dict[str, str], postgres_server: PostgresServer) -> World:
    directory = Path(variables["DATA_DIR"])
    directory.mkdir()
    return World(variables["DUAL_WRITE_SOURCE"], variables, directory, postgres_server.url)


only_mongo = pytest.mark.parametrize("variables", ["mongo"], indirect=True)


@LONG
async def test_an_older_target_is_completed_at_the_start(world: World) -> None:
    async with serving(world.variables) as container:
        await write(container, 1, 2)
        await until_equal(container)
    older = world.copy_target()
    async with serving(world.variables) as container:
        await write(container, 3, 4, 5)
        await until_equal(container)
    world.swap_target(older)
    async with serving(world.variables) as container:
        await until_equal(container)
        held = await control.read(container.stack().ownership.store)
        assert held is not None
        assert held.ownership.peer == control.Peer("postgres", 2)
        assert len(await task_ids(container.stack().raw_stores[1])) == 5
        assert container.stack().ownership.refusal is None


@sources("variables", short="mongo")
async def test_an_older_target_is_completed_under_a_running_service(world: World) -> None:
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
        older = world.copy_target()
        await write(container, 2, 3)
        await until_equal(container)
        world.swap_target(older)
        await write(container, 4)
        await until_equal(container, seconds=30)
        assert len(await task_ids(container.stack().raw_stores[1])) == 4


@sources("variables", short="monty")
async def test_an_older_source_takes_no_writes_and_answers_reads(world: World) -> None:
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
    older = world.copy_source()
    async with serving(world.variables) as container:
        await write(container, 2)
        await until_equal(container)
        before = await content(container.stack().raw_stores[1])
    async with serving(world.having(**older)) as container:
        stack = container.stack()
        assert isinstance(stack.ownership.refusal, OlderSource)
        with pytest.raises(WritesRefused, match="older copy of itself"):
            await write(container, 3)
        assert await task_ids(stack.store) == {numbered_id(1)}
        assert await content(stack.raw_stores[1]) == before
    async with serving(world.having(**older)) as container:
        with pytest.raises(WritesRefused, match="older copy of itself"):
            await write(container, 3)


@LONG
@only_mongo
async def test_an_older_mongo_under_a_running_service_takes_no_writes(world: World) -> None:
    name = world.variables["DB_NAME"]
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
        older = world.copy_source()["DB_NAME"]
        await write(container, 2)
        await until_equal(container)
        _copy_database(world.variables["MONGODB_URI"], older, name)
        with pytest.raises(WritesRefused, match="older copy of itself"):
            await write(container, 3)
        assert await task_ids(container.stack().raw_stores[1]) == {numbered_id(1), numbered_id(2)}


@only_mongo
async def test_an_older_copy_of_a_former_owner_is_completed_under_a_running_service(
    world: World,
) -> None:
    name = world.variables["DB_NAME"]
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
        older = world.copy_source()["DB_NAME"]
        await write(container, 2)
        await change_of_owner(container.stack()).run()
        await write(container, 3)
        await until_equal(container)
        _copy_database(world.variables["MONGODB_URI"], older, name)
        await write(container, 4)
        await until_equal(container, seconds=30)
        former, owner = container.stack().raw_stores
        assert await task_ids(former) == {numbered_id(number) for number in (1, 2, 3, 4)}
        held = [await control.read(store) for store in (former, owner)]
        assert [one.ownership.role for one in held if one] == [Role.MIRROR, Role.OWNER]
        for number in (5, 6):
            # It has seen lanes of its own in what the owner brought back, which say nothing about the owner.
            await change_of_owner(container.stack()).run()
            await write(container, number)
            await until_equal(container, seconds=30)


@only_mongo
async def test_a_copy_of_a_former_owner_with_writes_of_its_own_keeps_them(world: World) -> None:
    name = world.variables["DB_NAME"]
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
        other = world.copy_source()
        await change_of_owner(container.stack()).run()
        await write(container, 2)
        await until_equal(container)
        async with serving(world.having(STORE="mongo", **other)) as alone:
            await write(alone, 9)
        _copy_database(world.variables["MONGODB_URI"], other["DB_NAME"], name)
        await write(container, 3)
        await until(lambda: "holds changes that postgres lacks" in reason(container))
        former, owner = container.stack().raw_stores
        assert await task_ids(former) == {numbered_id(1), numbered_id(9)}
        assert await task_ids(owner) == {numbered_id(number) for number in (1, 2, 3)}


@only_mongo
async def test_a_former_owner_copied_during_the_move_leaves_the_new_one_alone(world: World) -> None:
    name, uri = world.variables["DB_NAME"], world.variables["MONGODB_URI"]
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
        during = world.copy_source()["DB_NAME"]
        await _note_move(uri, during, container.stack().ownership.me)
        await change_of_owner(container.stack()).run()
        await write(container, 2)
        await until_equal(container)
        owner = await control.read(container.stack().raw_stores[1])
    _copy_database(uri, during, name)
    # A start undoes the old move before it looks at the target, which raises the epoch above that of the owner.
    with pytest.raises(StaleOwner, match="STORE=postgres"):
        async with serving(world.variables):
            pass
    async with serving(world.having(STORE="postgres")) as container:
        assert await control.read(container.stack().raw_stores[0]) == owner
        assert len(await task_ids(container.stack().raw_stores[0])) == 2


async def _note_move(uri: str, database: str, me: ProcessIdentity) -> None:
    """What a copy holds that was made after the move had begun, and before it was decided."""
    move = {**new_move("postgres", me), "until": datetime(2026, 1, 1, tzinfo=UTC).isoformat()}
    store = MongoRecordStore(uri, database)
    await store.open()
    held = await control.read(store)
    assert held is not None
    store.admit(held.admission(me))
    await control.write(store, replace(held.ownership, move=move), over=held)
    await store.close()


def reason(container: Container) -> str:
    """Why the target is not called."""
    target = container.stack().direction.target
    assert target is not None
    return target.breaker.reason or ""


@pytest.mark.parametrize(
    ("swap", "cause"),
    [("older source", "older copy"), ("older target", "older copy"), ("emptied target", "emptied")],
)
@sources("variables", short="monty")
async def test_doctor_and_the_mirror_name_what_a_start_refuses(world: World, swap: str, cause: str) -> None:
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
    sound = await _diagnosed(world.variables)
    assert [check.message for check in sound.checks if not check.is_fine] == []
    assert sound.reason is None
    source = world.copy_source() if swap == "older source" else {}
    target = {"older target": world.copy_target, "emptied target": world.empty_database}.get(swap)
    other = None if target is None else target()
    async with serving(world.variables) as container:
        await write(container, 2)
        await until_equal(container)
    if other is not None:
        world.swap_target(other)
    found = await _diagnosed(world.having(**source))
    failed = {check.subject: check.message for check in found.checks if not check.is_fine}
    assert cause in failed[world.source if source else "postgres"]
    assert "schema" not in failed
    assert cause in (found.reason or "")


@dataclass(frozen=True)
class Diagnosis:
    """What `doctor` finds, and why the mirror is not used, while no service runs."""

    checks: list[CheckResult]
    reason: str | None


async def _diagnosed(variables: dict[str, str]) -> Diagnosis:
    settings = read_settings(variables)
    checks = [check async for check in checks_of_stores(settings)]
    async with inspected(settings) as container:
        metrics = await container.stack().synchronisation.metrics()
    assert metrics.target_reachable is (metrics.breaker.reason is None)
    return Diagnosis(checks, metrics.breaker.reason)


@LONG
async def test_a_clone_is_refused_before_its_first_write(world: World) -> None:
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
    clone = world.having(**world.copy_source())
    async with serving(world.variables) as container:
        await until(lambda: container.stack().ownership.refusal is None)
        with pytest.raises(StoreRefused, match="Another copy of this installation is running") as refused:
            async with serving(clone):
                pass
        assert "process" in str(refused.value)
        assert refused.value.remedy
        await write(container, 2)
        await until_equal(container)


@sources_and_moments(source="monty", is_running=True)
async def test_the_database_of_another_installation_is_refused(world: World, *, is_running: bool) -> None:
    other_url = world.having(DATA_DIR=str(world.directory / "other"), DB_NAME=f"other_{secrets.token_hex(4)}")
    foreign = world.empty_database()
    other = {**other_url, "POSTGRES_URL": world.address_of(foreign)}
    async with serving(other) as container:
        await write(container, 7)
        await until_equal(container)
        before = await content(container.stack().raw_stores[1])
    await _swapped(
        world, foreign, is_running=is_running, reason="belongs to another installation", before=before
    )


@sources_and_moments(source="mongo", is_running=True)
async def test_an_emptied_target_is_refused(world: World, *, is_running: bool) -> None:
    await _swapped(
        world, world.empty_database(), is_running=is_running, reason="empty or was emptied", before=None
    )


REWRITTEN = "old-records-rewritten"
"""The control record that a store gets when its records are rewritten."""


@sources("variables", short="mongo")
async def test_migrate_up_changes_nothing_in_the_database_of_another_installation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = world.having(DATA_DIR=str(world.directory / "other"), DB_NAME=f"other_{secrets.token_hex(4)}")
    async with serving(world.variables) as container:
        await write(container, 1)
    other = world.address_of(world.empty_database())
    async with serving({**elsewhere, "POSTGRES_URL": other}) as container:
        await until_equal(container)
    _forget_rewriting(other)
    mistaken = world.having(POSTGRES_URL=other)
    for name, value in mistaken.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreRefused, match="belongs to another installation"):
        async with schema_of(read_settings(mistaken)):
            pytest.fail("its schema could be changed")
    assert not _is_rewritten(other)


@LONG
async def test_a_clone_rewrites_nothing_in_the_target(world: World) -> None:
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
    clone = world.having(**world.copy_source())
    async with serving(world.variables) as container:
        await write(container, 2)
        await until_equal(container)
        _forget_rewriting(world.variables["POSTGRES_URL"])
        with pytest.raises(StoreRefused, match="Another copy of this installation is running"):
            async with serving(clone):
                pass
        assert not _is_rewritten(world.variables["POSTGRES_URL"])


def _forget_rewriting(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        deleted = connection.execute(f"DELETE FROM {CONTROL.table} WHERE mongo_id = %s", (REWRITTEN,))
        assert deleted.rowcount == 1


def _is_rewritten(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute(f"SELECT 1 FROM {CONTROL.table} WHERE mongo_id = %s", (REWRITTEN,))
        return found.fetchone() is not None


async def _swapped(
    world: World, other: str, *, is_running: bool, reason: str, before: dict[str, Any] | None
) -> None:
    """Another database is refused; the writes go on in the source, and nothing is written into the other one."""
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
        if is_running:
            world.swap_target(other)
            await _refused(container, world, reason=reason, before=before)
    if not is_running:
        world.swap_target(other)
        async with serving(world.variables) as container:
            await _refused(container, world, reason=reason, before=before)


async def _refused(container: Any, world: World, *, reason: str, before: dict[str, Any] | None) -> None:
    await write(container, 2)
    target = container.stack().direction.target
    assert target is not None
    await until(lambda: reason in (target.breaker.reason or ""))
    await write(container, 3)
    await asyncio.sleep(0.5)
    await _require_shown(container, reason)
    report = await schema_report_of(container.stack())
    assert reason in report.unreadable["postgres"]
    assert {state.store for state in report.states} == {world.source}
    assert {old.store for old in report.waiting} == {world.source}
    if before is None:
        with psycopg.connect(world.variables["POSTGRES_URL"]) as connection:
            tables = connection.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            ).fetchone()
        assert tables == (0,)
    else:
        assert await content(container.stack().raw_stores[1]) == before


async def _require_shown(container: Any, reason: str) -> None:
    """Every probe shows the reason, the source stays in use, and no write has been counted or parked."""
    stack = container.stack()
    components = await stack.components()
    metrics = await stack.synchronisation.metrics()
    assert components["db"].up
    assert (components["target"].status, reason in components["target"].reason) == ("DOWN", True)
    assert (metrics.target_reachable, reason in metrics.breaker.reason) == (False, True)
    entries = await stack.source.scan("audit_logs", after=None, limit=5_000)
    waiting = [one for one in entries if one["syncStatus"] != "SYNCED"]
    assert {(one["syncStatus"], one["syncAttempts"], one["syncError"]) for one in waiting} == {
        ("PENDING", 0, None)
    }


@sources("variables", short="monty")
async def test_an_empty_source_beside_a_filled_target_is_refused(world: World) -> None:
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
    empty = world.having(
        DATA_DIR=str(world.directory.with_name("fresh")), DB_NAME=f"fresh_{secrets.token_hex(4)}"
    )
    with pytest.raises(StoreRefused, match="is empty, and the target holds the data"):
        async with serving(empty):
            pass


@LONG
@only_mongo
async def test_an_empty_source_in_a_known_data_directory_is_refused_without_the_target(
    world: World,
) -> None:
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
        await until((world.directory / "last-seen").exists)
    empty = world.having(
        DB_NAME=f"fresh_{secrets.token_hex(4)}", POSTGRES_URL="postgresql://nobody@127.0.0.1:1/nothing"
    )
    with pytest.raises(StoreRefused, match="has served an installation before"):
        async with serving(empty):
            pass


@LONG
@only_mongo
async def test_a_source_behind_last_seen_waits_for_the_comparison_or_for_the_operator(
    world: World,
) -> None:
    async with serving(world.variables) as container:
        await write(container, 1)
        await until_equal(container)
        older = world.copy_source()["DB_NAME"]
        await write(container, 2)
        await until_equal(container)
        await asyncio.sleep(2.5)
    alone = world.having(DB_NAME=older, POSTGRES_URL="postgresql://nobody@127.0.0.1:1/nothing")
    async with serving(alone) as container:
        with pytest.raises(WritesRefused, match="--alone"):
            await write(container, 3)
    async with serving(alone, alone=True) as container:
        await write(container, 3)


@only_mongo
async def test_a_third_process_starts_beside_two_idle_ones(world: World) -> None:
    variables = world.variables
    async with serving(variables), serving(variables) as second:
        before = await content(second.stack().raw_stores[0])
        async with serving(variables) as third:
            assert await content(second.stack().raw_stores[0]) == before
            await write(third, 1)
            await until_equal(second)


@only_mongo
async def test_nothing_is_left_unmirrored_beside_a_process_that_does_not_mirror(world: World) -> None:
    single = {**world.having(STORE="mongo"), "DATA_DIR": str(world.directory / "single")}
    async with serving(world.variables) as mirroring, serving(single) as other:

        async def load(container: Any, first: int) -> None:
            for number in range(first, first + 20):
                change = put("tasks", task(number))
                entries = [entry(change, syncStatus=None)]
                await container.stack().store.commit(change_set(change, entries=entries))

        await asyncio.gather(load(mirroring, 1), load(other, 101))
        await until_equal(mirroring, seconds=START_SECONDS_MAX)
        source, target = mirroring.stack().raw_stores
        assert await source.count("audit_logs", IsNull("syncStatus")) == 0
        assert await target.count("tasks", EVERYTHING) == 40
