"""A table, or one record, that takes long while the server answers: everything else is mirrored, and it is named."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from adapters.dual_write.settings import MirrorMode
from adapters.records.change_set import ChangeSet
from adapters.records.record import Record
from domain.audit import SyncStatus
from tests.integration.failing_mirror import FailingMirror, failing_mirror
from tests.servers.tables import PreparedDatabase
from tests.unit.contracts.builders import change_set, label, put, task

TIMEOUT_MS = 300
ARRIVE_SECONDS_MAX = 3.0
RECOVER_SECONDS_MAX = 15.0
SLOW_SECONDS = 30
ISOLATED_SECONDS_MAX = 30.0
"""Until one slow record is told from a slow table, by statements that take their whole time limit."""

EACH_ROW = "BEFORE INSERT OR UPDATE ON postgres_labels FOR EACH ROW"
KINDS = {
    "before each row": f"CREATE TRIGGER slow {EACH_ROW} EXECUTE FUNCTION slow()",
    "after each new row": "CREATE TRIGGER slow AFTER INSERT ON postgres_labels FOR EACH ROW EXECUTE FUNCTION slow()",
    "at the commit": "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON postgres_labels DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION slow()",
    "before each statement": "CREATE TRIGGER slow BEFORE INSERT ON postgres_labels FOR EACH STATEMENT"
    " EXECUTE FUNCTION slow()",
}


LATE_KINDS = ("after each new row", "before each statement")


@pytest.fixture(autouse=True)
def emptied(database: PreparedDatabase) -> Iterator[None]:
    yield
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("DROP FUNCTION IF EXISTS slow CASCADE")
    database.empty()


def slow_down(database: PreparedDatabase, trigger: str, *, condition: str = "true") -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {condition} THEN PERFORM pg_sleep({SLOW_SECONDS}); END IF; RETURN NEW; END $$"
        )
        connection.execute(trigger)


def put_right(database: PreparedDatabase) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("DROP FUNCTION slow CASCADE")


def new_label(number: int) -> ChangeSet:
    return change_set(put("labels", label(number)))


def new_task(number: int) -> ChangeSet:
    return change_set(put("tasks", task(number)))


def is_synced(entry: Record) -> bool:
    return bool(entry["syncStatus"] == SyncStatus.SYNCED)


async def write_for_a_while(mirror: FailingMirror) -> tuple[list[ChangeSet], list[ChangeSet]]:
    """Labels and tasks of requests that come one after the other; each task has to arrive soon."""
    labels, tasks, arrivals = [], [], []
    for number in range(20, 28):
        labels.append(new_label(number))
        tasks.append(new_task(number))
        writing = asyncio.create_task(mirror.write(labels[-1], tasks[-1]))
        arriving = mirror.seconds_until(tasks[-1:], is_synced, seconds_max=ARRIVE_SECONDS_MAX)
        arrivals += [writing, asyncio.create_task(arriving)]
        await asyncio.sleep(0.25)
    await asyncio.gather(*arrivals)
    return labels, tasks


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("before each row", MirrorMode.MIRROR),
        ("before each row", MirrorMode.RELAY),
        ("at the commit", MirrorMode.MIRROR),
        *(pytest.param(kind, MirrorMode.MIRROR, marks=pytest.mark.torture) for kind in LATE_KINDS),
    ],
)
async def test_a_slow_table_stops_no_other_and_is_named(
    database: PreparedDatabase, kind: str, mode: MirrorMode
) -> None:
    async with failing_mirror(database.url, mode, timeout_ms=TIMEOUT_MS) as mirror:
        known = [new_label(1), new_task(1)]
        await mirror.write(*known)
        await mirror.seconds_until(known, is_synced, seconds_max=RECOVER_SECONDS_MAX)
        opened = note_openings(mirror)
        slow_down(database, KINDS[kind])
        labels, _ = await write_for_a_while(mirror)
        if mode is MirrorMode.MIRROR:
            health = await mirror.health()
            assert (health["target"].status, opened) == ("DEGRADED", [])
            assert "postgres_labels is blocked: " in (health["target"].detail or "")
        await asyncio.to_thread(put_right, database)
        if kind != "at the commit":  # the record that was tried is due again after a longer pause
            await mirror.seconds_until(labels, is_synced, seconds_max=RECOVER_SECONDS_MAX)
        assert opened == []


async def test_slow_records_stop_no_other_and_are_named(database: PreparedDatabase) -> None:
    async with failing_mirror(database.url, MirrorMode.MIRROR, timeout_ms=TIMEOUT_MS) as mirror:
        known = [new_label(1), new_task(1)]
        await mirror.write(*known)
        await mirror.seconds_until(known, is_synced, seconds_max=RECOVER_SECONDS_MAX)
        opened = note_openings(mirror)
        slow_down(database, KINDS["before each row"], condition="NEW.name ~ '5$'")
        labels, _ = await write_for_a_while(mirror)
        (slow,) = (one for one in labels if one.puts[0].record["name"].endswith("5"))
        await mirror.seconds_until(
            [one for one in labels if one is not slow], is_synced, seconds_max=ISOLATED_SECONDS_MAX
        )
        await mirror.seconds_until(
            [slow], lambda entry: "It takes longer than" in (entry["syncError"] or ""), seconds_max=30
        )
        assert opened == []
        await asyncio.to_thread(put_right, database)
        await mirror.sync.retry("labels", slow.puts[0].record_id)
        await mirror.seconds_until(labels, is_synced, seconds_max=RECOVER_SECONDS_MAX)


def note_openings(mirror: FailingMirror) -> list[str | None]:
    """The reasons for which the breaker opens from now on."""
    target = mirror.stack.direction.target
    assert target is not None
    opened: list[str | None] = []
    target.breaker.when_opened(lambda: opened.append(target.breaker.reason))
    return opened
