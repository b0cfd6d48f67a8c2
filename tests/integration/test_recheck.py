"""The comparison at the barrier over real stores: rows that were edited by hand, and the pause under writes."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from statistics import median
from time import perf_counter

import pytest

from adapters.migration.differing import StoresDiffer
from adapters.migration.ownership_change import NotDelivered
from adapters.migration.recheck import (
    Point,
    PointedSource,
    PointedStore,
    Recheck,
    foreign_trouble,
    point_of,
)
from adapters.migration.row_counts import RowCounts
from adapters.ownership import control
from adapters.ownership.control import Gate, Role
from adapters.postgres.record_store import PostgresRecordStore
from application.ports.clock import Clock
from domain.errors import Conflict, TandemError
from entrypoints.composition.container import Container
from entrypoints.composition.move import Move
from entrypoints.composition.ownership_moves import change_of_owner, last_pause_ms
from tests.integration.ownership_world import (
    content,
    serving,
    until,
    until_connected,
    until_delivered,
    verified,
    write,
)
from tests.integration.source_turns import sources
from tests.servers.report import note_figures, times_slower
from tests.servers.tables import PreparedDatabase, run_statements
from tests.unit.contracts.builders import change_set, entry, numbered_id, put, task

WRITES_PER_SECOND = 200
MOVES = 4
PART_MS_MAX = 40
"""What the comparison may take of a pause of 100 ms."""


@pytest.fixture
async def target(database: PreparedDatabase) -> AsyncIterator[PostgresRecordStore]:
    store = PostgresRecordStore(database.url)
    await store.open()
    yield store
    await store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role = replica; DELETE FROM postgres_labels",
        "UPDATE postgres_tasks SET title = 'By hand'",
        "DELETE FROM postgres_audit_logs",
        "TRUNCATE postgres_labels",
        "INSERT INTO postgres_labels (mongo_id, version, is_erased) VALUES ('x', 1, true)",
        "DELETE FROM postgres_labels WHERE mongo_id = 'x'",
    ],
)
async def test_statements_of_others_are_counted(
    target: PostgresRecordStore, database: PreparedDatabase, statement: str
) -> None:
    before = await target.foreign_changes()
    run_statements(database.url, statement)
    after = await target.foreign_changes()
    assert before is not None
    assert after == before + 1


async def test_own_writes_are_not_counted(target: PostgresRecordStore) -> None:
    before = await target.foreign_changes()
    change = put("tasks", task(1))
    await target.apply([change_set(change, entries=[entry(change)])])
    await target.load("tasks", [task(2)], checkpoint=None)
    change = put("tasks", task(3))
    await target.commit(change_set(change, entries=[entry(change)]))
    assert await target.foreign_changes() == before


async def test_a_role_that_may_only_write_the_records_is_counted(
    target: PostgresRecordStore, database: PreparedDatabase
) -> None:
    before = await target.foreign_changes()
    run_statements(
        database.url,
        "DROP ROLE IF EXISTS clerk",
        "CREATE ROLE clerk",
        "GRANT SELECT, UPDATE ON postgres_tasks TO clerk",
        "SET ROLE clerk",
        "UPDATE postgres_tasks SET title = 'By a clerk'",
        "RESET ROLE",
        "DROP OWNED BY clerk",
        "DROP ROLE clerk",
    )
    assert before is not None
    assert await target.foreign_changes() == before + 1


async def test_a_disabled_trigger_counts_nothing_and_says_so(
    target: PostgresRecordStore, database: PreparedDatabase
) -> None:
    counted = await point_of(target, target, at=datetime.now(UTC))
    run_statements(database.url, "ALTER TABLE postgres_tasks DISABLE TRIGGER tandem_foreign_change")
    assert await target.foreign_changes() is None
    uncounted = await point_of(target, target, at=datetime.now(UTC))
    assert "at present" in (foreign_trouble(counted, uncounted.foreign) or "")
    run_statements(database.url, "ALTER TABLE postgres_tasks ENABLE TRIGGER tandem_foreign_change")
    assert await target.foreign_changes() is None
    run_statements(database.url, "ALTER TABLE postgres_tasks ENABLE ALWAYS TRIGGER tandem_foreign_change")
    again = await target.foreign_changes()
    assert again is not None
    assert "when it was compared" in (foreign_trouble(uncounted, {"postgres": again}) or "")


@sources("variables", short="monty")
async def test_a_row_edited_after_the_verification_stops_the_move(variables: dict[str, str]) -> None:
    url = variables["POSTGRES_URL"]
    async with serving(variables) as container:
        move = await verified(container, 1, 2, 3)
        assert "evidence" not in _red(await move.rehearse(by="anna", is_dry_run=True))
        run_statements(
            url, f"UPDATE postgres_tasks SET title = 'By hand' WHERE mongo_id = '{numbered_id(2)}'"
        )
        assert _red(await move.rehearse(by="anna", is_dry_run=True)) == {"evidence"}
        with pytest.raises(Conflict, match=r"1 statements have changed the postgres store.*verify --full"):
            await move.cut_over(by="anna")
        await write(container, 4)
        found = await move.verify(lambda _: None, by="anna")
        assert [(one.id, one.fields) for one in found.differences] == [(numbered_id(2), ("title",))]
        assert (await move.repair(lambda _: None, by="anna")).is_clean
        await move.rehearse(by="anna")
        assert (await move.cut_over(by="anna")).owner == "postgres"


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_a_change_that_the_target_stored_otherwise_stops_the_move(variables: dict[str, str]) -> None:
    """The edit is not counted, as that of a faulty release would not be."""
    async with serving(variables) as container:
        move = await verified(container, 1)
        await move.rehearse(by="anna")
        await write(container, 7)
        stack = container.stack()
        await until_delivered(container)
        own = "SET tandem.writer = 'on'"
        wrong = f"UPDATE postgres_tasks SET title = 'By hand' WHERE mongo_id = '{numbered_id(7)}'"
        run_statements(variables["POSTGRES_URL"], own, wrong)
        with pytest.raises(StoresDiffer, match=rf"tasks {numbered_id(7)} \(CHANGED: title\)"):
            await move.cut_over(by="anna")
        held = await control.read(stack.direction.raw_source)
        assert held is not None
        assert (held.ownership.role, held.ownership.gate) == (Role.OWNER, Gate.OPEN)
        await write(container, 8)
        forced = await move.cut_over(by="anna", force="The old disk fails.")
        assert forced.owner == "postgres"


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_a_rollback_compares_what_has_come_back(variables: dict[str, str]) -> None:
    async with serving(variables) as container:
        move = await verified(container, 1)
        await move.rehearse(by="anna")
        await move.cut_over(by="anna")
        stack = container.stack()
        await until_connected(container)
        await write(container, 2)
        await until_delivered(container)
        own = "SET tandem.writer = 'on'"
        wrong = f"UPDATE postgres_tasks SET title = 'By hand' WHERE mongo_id = '{numbered_id(2)}'"
        run_statements(variables["POSTGRES_URL"], own, wrong)
        with pytest.raises(StoresDiffer, match=numbered_id(2)):
            await move.roll_back(by="anna")
        assert stack.source.name == "postgres"
        right = f"UPDATE postgres_tasks SET title = '{task(2)['title']}' WHERE mongo_id = '{numbered_id(2)}'"
        run_statements(variables["POSTGRES_URL"], own, right)
        assert (await move.roll_back(by="anna")).owner == "monty"
        await until(lambda: stack.source.name == "monty")
        first, second = stack.raw_stores
        assert (await content(first))["tasks"] == (await content(second))["tasks"]


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_the_background_verification_moves_the_horizon_and_ends_it_with_a_difference(
    variables: dict[str, str],
) -> None:
    async with serving(variables) as container:
        move = await verified(container, 1)
        background = container.continuous_verification()
        first = (await move.status()).equal_as_of
        await write(container, 2)
        await until_delivered(container)
        await background.tick()
        second = (await move.status()).equal_as_of
        assert first is not None
        assert second is not None
        assert second > first
        await write(container, 3)
        await until_delivered(container)
        own = "SET tandem.writer = 'on'"
        wrong = f"UPDATE postgres_tasks SET title = 'By hand' WHERE mongo_id = '{numbered_id(3)}'"
        run_statements(variables["POSTGRES_URL"], own, wrong)
        await background.tick()
        status = await move.status()
        (evidence,) = (one for one in status.guards if one.code == "evidence")
        assert (status.equal_as_of, evidence.is_green) == (None, False)
        assert "tandem move repair" in evidence.remedy
        coverage = await move.coverage("tasks", buckets=4)
        assert set(coverage.buckets) == {"D"}
        await background.close()


def _red(result: object) -> set[str]:
    return {one.code for one in result.guards if not one.is_green}  # type: ignore[attr-defined]


@asynccontextmanager
async def _writing(container: Container) -> AsyncIterator[list[float]]:
    """WRITES_PER_SECOND writes, whatever the earlier ones do; yields their durations."""
    durations: list[float] = []
    failures: list[str] = []
    running: set[asyncio.Task[None]] = set()
    numbers = itertools.count(1_000)

    async def one() -> None:
        change = put("tasks", task(next(numbers)))
        now = datetime.now(UTC).replace(microsecond=0)
        began = perf_counter()
        try:
            await container.stack().store.commit(change_set(change, entries=[entry(change, at=now)]))
        except TandemError as error:
            failures.append(repr(error))
        durations.append(perf_counter() - began)

    async def keep_writing() -> None:
        began = perf_counter()
        for number in itertools.count(1):
            running.add(asyncio.create_task(one()))
            await asyncio.sleep(max(0.0, began + number / WRITES_PER_SECOND - perf_counter()))
            running.difference_update({task for task in running if task.done()})

    writer = asyncio.create_task(keep_writing())
    try:
        yield durations
    finally:
        writer.cancel()
        await asyncio.gather(writer, *running, return_exceptions=True)
    assert failures == []


class _Timed(Recheck):
    """Notes how long it takes while writes wait."""

    def __init__(
        self, source: PointedSource, target: PointedStore, *, since: Point, clock: Clock, counts: RowCounts
    ) -> None:
        super().__init__(source, target, since=since, clock=clock, counts=counts)
        self.held_ms: list[int] = []

    async def require_equal(self) -> None:
        began = perf_counter()
        await super().require_equal()
        self.held_ms.append(round((perf_counter() - began) * 1000))


@pytest.mark.parametrize("variables", ["monty"], indirect=True)
async def test_the_comparison_adds_little_to_the_pause_under_writes(variables: dict[str, str]) -> None:
    async with serving(variables) as container:
        await verified(container, 1)
        stack = container.stack()
        source, target = stack.direction.raw_source, stack.direction.raw_target
        assert target is not None
        since = await point_of(source, target, at=container.clock().now())
        move: Move = container.migration()
        compare = partial(move._evidence._compared, await move._owner())
        counts = RowCounts(source, target, clock=container.clock(), compare=compare)
        recheck = _Timed(source, target, since=since, clock=container.clock(), counts=counts)
        pauses = []
        async with _writing(container) as durations:
            await asyncio.sleep(1)
            for _ in range(MOVES):
                # With too little of the processor, a rehearsal may give up before everything is delivered.
                with suppress(NotDelivered):
                    await recheck.catch_up()
                    await change_of_owner(stack, recheck=recheck).rehearse()
                    pauses.append(last_pause_ms(stack))
                await asyncio.sleep(0.2)
        note_figures(
            "rehearsals with 200 writes a second",
            pauses_ms=sorted(pauses),
            compared_in_ms=sorted(recheck.held_ms),
            writes=len(durations),
            longest_write_ms=round(max(durations) * 1000),
        )
        assert len(pauses) >= MOVES / 2
        assert median(recheck.held_ms) <= PART_MS_MAX * times_slower()
