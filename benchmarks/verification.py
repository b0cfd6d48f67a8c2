"""How fast a verification compares both stores in full: MontyDB on disk with a PostgreSQL, tasks and their entries.

One record of all is then changed by hand, and the time from reading its range to its repair is measured.
"""

import tempfile
import time
from typing import Final

from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore
from adapters.migration.repair import Repair
from adapters.migration.verification import Verifier
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import VERSION
from adapters.records.specs import TASKS
from adapters.system.clock import SystemClock
from adapters.system.identifiers import SortableIdentifiers
from application.ports.migration import Verification
from benchmarks.folders import reachable
from benchmarks.records import ACTOR, entry_record, task_id, task_record
from benchmarks.report import Report, at_least, at_most

SECTION: Final = "Verification"
TASKS_MAX: Final = 1_000_000
TASKS_COUNT: Final = 100_000
FILL_AT_ONCE: Final = 500
ROUNDS: Final = 3
RECORDS_PER_SECOND: Final = 20_000
UNCHANGED_PER_SECOND: Final = 80_000
"""Ten times what a backfill loads."""


async def measure(report: Report, *, tasks: int = TASKS_COUNT) -> None:
    """A verification of so many tasks with an entry each, at most TASKS_MAX."""
    if not 0 < tasks <= TASKS_MAX:
        raise ValueError(f"a verification has 1 to {TASKS_MAX} tasks")
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as folder:
        directory = reachable(folder)
        source = MontyRecordStore(directory / "monty")
        target = EmbeddedPostgresRecordStore(directory / "postgres")
        await source.open()
        await target.open()
        await target.prepare()
        try:
            await _fill(source, target, tasks)
            await _measure_passes(report, source, target)
            await _measure_repair(report, source, target, tasks // 2)
        finally:
            await target.close()
            await source.close()


async def _fill(source: MontyRecordStore, target: EmbeddedPostgresRecordStore, tasks: int) -> None:
    for start in range(0, tasks, FILL_AT_ONCE):
        numbers = range(start, min(start + FILL_AT_ONCE, tasks))
        records = [task_record(number) for number in numbers]
        entries = [
            entry_record(record, None, number) for number, record in zip(numbers, records, strict=True)
        ]
        delivered = tuple({**entry, "syncStatus": "SYNCED"} for entry in entries)
        change = ChangeSet(tuple(Put(TASKS.collection, record, 0) for record in records), delivered)
        await source.commit(change)
        await target.apply([change])


async def _measure_passes(
    report: Report, source: MontyRecordStore, target: EmbeddedPostgresRecordStore
) -> None:
    rates, processor, compared = [], [], 0
    for _ in range(ROUNDS):
        began, used = time.perf_counter(), time.process_time()
        found = await _verify(source, target)
        seconds = time.perf_counter() - began
        if not found.is_clean:
            raise RuntimeError(f"equal stores differ: {found.difference_count}")
        compared = sum(row.compared for row in found.collections)
        rates.append(compared / seconds)
        processor.append((time.process_time() - used) / compared * 1e6)
    raw = (
        f"{compared} records in each store, rounds {', '.join(f'{rate:.0f}' for rate in rates)} a second;"
        f" {min(processor):.0f} µs of this process for a record of both"
    )
    figure = at_least("records compared in full", max(rates), RECORDS_PER_SECOND, unit="a second", raw=raw)
    report.add(SECTION, figure)
    verifier = Verifier(source, target, clock=SystemClock())
    await verifier.verify(lambda _: None, incarnation=1, epoch=1)
    began = time.perf_counter()
    found = await verifier.verify(lambda _: None, incarnation=1, epoch=1, known=verifier.ranges)
    seconds = time.perf_counter() - began
    if not found.is_clean or sum(row.compared for row in found.collections) != compared:
        raise RuntimeError("an incremental verification left something out")
    figure = at_least(
        "unchanged records verified incrementally",
        compared / seconds,
        UNCHANGED_PER_SECOND,
        unit="a second",
        raw=f"{compared} records in each store in {seconds:.2f} s",
    )
    report.add(SECTION, figure)


async def _measure_repair(
    report: Report, source: MontyRecordStore, target: EmbeddedPostgresRecordStore, number: int
) -> None:
    (record,) = (await target.fetch(TASKS.collection, [task_id(number)])).values()
    by_hand = {**record, "title": "By hand"}
    await target.commit(ChangeSet((Put(TASKS.collection, by_hand, record[VERSION]),)))
    found = await _verify(source, target)
    began = time.perf_counter()
    repair = Repair(
        source,
        target,
        writer=source,
        applier=target,
        clock=SystemClock(),
        identifiers=SortableIdentifiers(),
    )
    done = await repair.repair(found.differences, by=ACTOR)
    seconds = time.perf_counter() - began
    if found.difference_count != 1 or done.rewritten != 1:
        raise RuntimeError(f"one record was changed, {found.difference_count} were found")
    report.add(
        SECTION, at_most("repair of the one changed record", seconds, 2.0, unit="s", raw="found by name")
    )


async def _verify(source: MontyRecordStore, target: EmbeddedPostgresRecordStore) -> Verification:
    verifier = Verifier(source, target, clock=SystemClock())
    return await verifier.verify(lambda _: None, incarnation=1, epoch=1)
