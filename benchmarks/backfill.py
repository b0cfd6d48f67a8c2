"""A backfill from MontyDB to PostgreSQL against a plain COPY of the same rows into a like table.

A number after `backfill` is the number of tasks.
"""

import asyncio
import resource
import tempfile
import time

import psycopg

from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore
from adapters.migration.backfill import Backfill
from adapters.migration.checkpoints import Claim, Destination
from adapters.migration.range_claims import RangeClaims
from adapters.migration.range_loader import BackfillSettings
from adapters.monty.record_store import MontyRecordStore
from adapters.ownership.process_identity import is_gone, this_process
from adapters.postgres.rows import FORMS
from adapters.records.change_set import ChangeSet, Put
from adapters.records.specs import TASKS
from application.ports.migration import Progress
from benchmarks.folders import reachable
from benchmarks.records import task_record
from benchmarks.report import Report, at_least, at_most

SECTION = "Backfill"
RECORDS = 100_000
RECORDS_MAX = 1_000_000
FILL_AT_ONCE = 500
COPIED_AT_ONCE = 2_500
WORKERS = (1, 2)


async def measure(report: Report, *, records: int = RECORDS) -> None:
    """Backfills so many tasks with one and with two workers, each into an empty table."""
    if not 0 < records <= RECORDS_MAX:
        raise ValueError(f"a backfill is measured with 1 to {RECORDS_MAX} tasks")
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as folder:
        directory = reachable(folder)
        source = MontyRecordStore(directory / "monty")
        await source.open()
        target = EmbeddedPostgresRecordStore(directory / "postgres")
        try:
            await target.open()
            await target.prepare()
            await _fill(source, records)
            await _compare(report, source, target, records)
        finally:
            await target.close()
            await source.close()


async def _compare(
    report: Report, source: MontyRecordStore, target: EmbeddedPostgresRecordStore, records: int
) -> None:
    seconds = {workers: await _backfilled(source, target, workers) for workers in WORKERS}
    grown_mb = await _grown_mb(source, target)
    raw = await _copied(source, target.url)
    rates = {workers: records / each for workers, each in seconds.items()}
    figures = (
        f"{records} tasks: {rates[1]:.0f} a second with one worker, {rates[2]:.0f} with two; "
        f"COPY of rows made before {records / raw:.0f}"
    )
    report.add(SECTION, at_least("one worker against COPY", rates[1] * raw / records, 0.6, raw=figures))
    report.add(SECTION, at_least("two workers against one", rates[2] / rates[1], 1.3, raw=figures))
    report.add(SECTION, at_most("growth of memory in a second backfill", grown_mb, 100, unit="MB", raw=""))


async def _fill(source: MontyRecordStore, records: int) -> None:
    for start in range(0, records, FILL_AT_ONCE):
        numbers = range(start, min(start + FILL_AT_ONCE, records))
        puts = [Put(TASKS.collection, task_record(number), 0) for number in numbers]
        await asyncio.gather(*(source.commit(ChangeSet((put,))) for put in puts))


async def _backfilled(source: MontyRecordStore, target: EmbeddedPostgresRecordStore, workers: int) -> float:
    """The seconds of one backfill into empty tables."""
    async with await psycopg.AsyncConnection.connect(target.url, autocommit=True) as connection:
        await connection.execute(f"TRUNCATE {TASKS.table}, tandem_control")
        await connection.execute("CHECKPOINT")
    began = time.perf_counter()
    destination = Destination("benchmark", 1, workers)
    settings = BackfillSettings(workers=workers)
    claims = RangeClaims(source, Claim(this_process(), f"{workers}"), is_gone)
    await Backfill(source, target, destination=destination, claims=claims, settings=settings).run(_ignored)
    return time.perf_counter() - began


async def _grown_mb(source: MontyRecordStore, target: EmbeddedPostgresRecordStore) -> float:
    """By how much the highest use of memory of this process rises in one more backfill."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await _backfilled(source, target, 1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1_024


async def _copied(source: MontyRecordStore, url: str) -> float:
    """The seconds of COPY alone into a table with the same columns, checks and indexes."""
    names = ", ".join(f'"{column.name}"' for column in FORMS[TASKS.collection].columns)
    line_of, seconds, after = FORMS[TASKS.collection].copy_line, 0.0, None
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"CREATE TABLE copied (LIKE {TASKS.table} INCLUDING ALL)")
        while page := await source.scan(TASKS.collection, after=after, limit=COPIED_AT_ONCE):
            lines = b"".join([line_of(record) + b"\n" for record in page])
            began = time.perf_counter()
            async with connection.cursor().copy(f"COPY copied ({names}) FROM STDIN") as copy:
                await copy.write(lines)
            seconds += time.perf_counter() - began
            after = page[-1]["id"]
        await connection.execute("DROP TABLE copied")
    return seconds


def _ignored(progress: Progress) -> None:
    """A benchmark shows no progress."""
