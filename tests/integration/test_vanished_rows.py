"""Rows that left a store without an entry and without a trigger, after the stores were compared: no move begins."""

import asyncio
import itertools

import pytest

from adapters.migration.differing import StoresDiffer
from adapters.migration.row_counts import RowCounts
from adapters.ownership import control
from adapters.ownership.control import Gate, Role
from adapters.postgres.record_store import PostgresRecordStore
from application.ports.migration import Verification
from domain.errors import Conflict
from entrypoints.composition.container import Container
from entrypoints.composition.move import Move
from tests.integration.ownership_world import serving, until_connected, verified, write
from tests.servers.postgres import OwnPostgresServer
from tests.servers.tables import run_statements
from tests.unit.builders import numbered_id

ANY_SECONDS = 60.0
UNSEEN = "SET tandem.writer = 'on'"
"""No trigger counts what such a session does."""

DAMAGES = {
    "DROP INDEX labels_name": "labels_name",
    "ALTER TABLE postgres_users DROP CONSTRAINT postgres_users_pkey": "primary key of the table postgres_users",
    "ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_required": "postgres_tasks_required",
    "ALTER TABLE tandem_control SET UNLOGGED": "tandem_control is unlogged",
    "DROP TRIGGER tandem_foreign_change ON postgres_tasks": "tandem_foreign_change of the table postgres_tasks",
}
"""What somebody removes from a schema, and how that is named."""


async def _rehearsed(container: Container, *numbers: int) -> Move:
    move = await verified(container, *numbers)
    await move.rehearse(by="anna")
    return move


def _red(guards: object) -> dict[str, str]:
    return {one.code: one.detail for one in guards if not one.is_green}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            f"DELETE FROM postgres_tasks WHERE mongo_id = '{numbered_id(2)}'",
            rf"tasks {numbered_id(2)} \(MISSING\)",
        ),
        ("TRUNCATE postgres_labels", r"labels \w+ \(MISSING\)"),
        ("DELETE FROM postgres_audit_logs WHERE collection = 'tasks'", r"audit_logs \w+ \(MISSING\)"),
        (
            "INSERT INTO postgres_watchlists (mongo_id, version, is_erased) VALUES ('x', 1, true)",
            r"watchlists x \(EXTRA\)",
        ),
    ],
    ids=["one row", "a table", "entries", "a row too many"],
)
async def test_rows_that_vanished_without_a_trace_stop_the_move(
    variables: dict[str, str], statement: str, named: str
) -> None:
    async with serving(variables) as container:
        move = await _rehearsed(container, 1, 2, 3)
        run_statements(variables["POSTGRES_URL"], UNSEEN, statement)
        assert _red((await move.cut_over(by="anna", is_dry_run=True)).guards) == {}
        for step in (move.rehearse, move.cut_over):
            with pytest.raises(StoresDiffer, match=named):
                await step(by="anna")
        held = await control.read(container.stack().direction.raw_source)
        assert held is not None
        assert (held.ownership.role, held.ownership.gate) == (Role.OWNER, Gate.OPEN)
        await write(container, 4)
        assert not (await move.verify(lambda _: None, by="anna")).is_clean


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_rows_that_a_replicating_session_deletes_are_counted(variables: dict[str, str]) -> None:
    async with serving(variables) as container:
        move = await _rehearsed(container, 1)
        run_statements(
            variables["POSTGRES_URL"], "SET session_replication_role = replica", "DELETE FROM postgres_labels"
        )
        with pytest.raises(Conflict, match="1 statements have changed the postgres store past Tandem"):
            await move.cut_over(by="anna")


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_rows_that_vanish_while_writes_wait_stop_the_move(variables: dict[str, str]) -> None:
    async with serving(variables) as container:
        await _rehearsed(container, 1, 2)
        direction = container.stack().direction
        source, target = direction.raw_source, direction.raw_target
        assert target is not None

        async def compare(_: object) -> Verification:
            raise AssertionError("the numbers were equal")

        counts = RowCounts(
            source, target, clock=container.clock(), compare=compare, held_seconds_max=ANY_SECONDS
        )
        await counts.require_alike()
        await counts.require_same()
        run_statements(variables["POSTGRES_URL"], UNSEEN, "TRUNCATE postgres_tasks")
        with pytest.raises(
            StoresDiffer, match=r"equally many records: tasks 2 and 0\. Type: tandem move verify"
        ):
            await counts.require_same()


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_records_on_their_way_are_not_taken_for_vanished_ones(variables: dict[str, str]) -> None:
    async with serving(variables) as container:
        move = await _rehearsed(container, 1)
        numbers = itertools.count(100)
        is_over = False

        async def keep_writing() -> None:
            while not is_over:
                await write(container, next(numbers))

        writers = [asyncio.create_task(keep_writing()) for _ in range(3)]
        await asyncio.sleep(0.2)
        await move.rehearse(by="anna")
        is_over = True
        await asyncio.gather(*writers)
        assert next(numbers) > 110


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_a_table_that_a_crash_emptied_is_found_once_it_is_logged_again(
    variables: dict[str, str], own_postgres_server: OwnPostgresServer
) -> None:
    url = own_postgres_server.create_prepared_database()
    async with serving({**variables, "POSTGRES_URL": url}) as container:
        move = await _rehearsed(container, 1, 2)
        run_statements(url, "ALTER TABLE postgres_labels SET UNLOGGED")
        assert (
            "labels is unlogged" in _red((await move.rehearse(by="anna", is_dry_run=True)).guards)["schema"]
        )
        with pytest.raises(Conflict, match=r"postgres_labels is unlogged.* Type: tandem migrate up"):
            await move.cut_over(by="anna")
        own_postgres_server.kill()
        own_postgres_server.restart()
        run_statements(url, "ALTER TABLE postgres_labels SET LOGGED")
        await until_connected(container, seconds=20)
        with pytest.raises(StoresDiffer, match=r"labels \w+ \(MISSING\)"):
            await move.cut_over(by="anna")


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_a_damaged_schema_is_a_red_guard_on_either_side(variables: dict[str, str]) -> None:
    url = variables["POSTGRES_URL"]
    async with serving(variables) as container:
        move = await _rehearsed(container, 1)
        target = container.stack().direction.raw_target
        assert isinstance(target, PostgresRecordStore)
        run_statements(url, *DAMAGES)
        for step in (move.rehearse, move.cut_over):
            detail = _red((await step(by="anna", is_dry_run=True)).guards)["schema"]
            assert [named for named in DAMAGES.values() if named not in detail] == []
            with pytest.raises(Conflict, match=r"labels_name.*Type: tandem migrate up"):
                await step(by="anna")
        await target.restore_parts()
        assert (await move.verify(lambda _: None, by="anna")).is_clean
        await move.cut_over(by="anna")
        await until_connected(container, seconds=20)
        run_statements(url, *DAMAGES)
        assert "schema" not in _red((await move.roll_back(by="anna", is_dry_run=True)).guards)
        with pytest.raises(Conflict, match="labels_name"):
            await move.finish(by="anna", is_dry_run=True)


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_an_index_that_only_makes_questions_slow_stops_no_move(variables: dict[str, str]) -> None:
    async with serving(variables) as container:
        move = await _rehearsed(container, 1)
        run_statements(variables["POSTGRES_URL"], "DROP INDEX tasks_created")
        assert _red((await move.cut_over(by="anna", is_dry_run=True)).guards) == {}
