"""The mirror alone, compared with plain driver statements with the same server, table and durability."""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from adapters.dual_write.batcher import MirrorBatcher
from adapters.dual_write.differences import DeliveryOutcome
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.settings import DualWriteSettings
from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ApplyOutcome, ChangeSet, Superseded
from adapters.records.fields import FieldKind
from adapters.records.specs import TASKS
from adapters.system.clock import SystemClock
from benchmarks.folders import reachable
from benchmarks.records import task_change
from benchmarks.report import Report, at_least, at_most

SECTION = "Mirror to PostgreSQL"
TASKS_HOT = 2_000
ALONE = 800
AT_ONCE = 6_000
ROUNDS = 3


async def measure(report: Report) -> None:
    """One upsert, many at once, and the whole dual write."""
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as folder:
        target = EmbeddedPostgresRecordStore(reachable(folder) / "postgres")
        await target.open()
        await target.prepare()
        try:
            await _alone(report, target)
            for connections in (32, 128):
                await _at_once(report, target, connections)
            await _whole(report, target)
        finally:
            await target.close()


async def _alone(report: Report, target: EmbeddedPostgresRecordStore) -> None:
    """Rounds in turn, so that changes in the machine's speed affect all variants."""
    bare_times, mirror_times, batched_times = [], [], []
    async with await psycopg.AsyncConnection.connect(target.url, autocommit=True) as connection:
        bare = _BareUpsert(connection)
        changes = _Changes()
        batcher = _batcher(target)
        for _ in range(ROUNDS):
            bare_times.append(await _median_ms(bare.upsert, [changes.next() for _ in range(ALONE)]))
            mirror_times.append(
                await _median_ms(lambda c: target.apply([c]), [changes.next() for _ in range(ALONE)])
            )
            batched_times.append(await _median_ms(batcher.mirror, [changes.next() for _ in range(ALONE)]))
        await batcher.close()
    bare_ms, mirror_ms, batched_ms = map(statistics.median, (bare_times, mirror_times, batched_times))
    raw = f"bare upsert {bare_ms:.3f} ms, ours with entry {mirror_ms:.3f} ms, through the batcher {batched_ms:.3f} ms"
    report.add(
        SECTION,
        at_least("upsert with entry against bare upsert, throughput", bare_ms / mirror_ms, 0.85, raw=raw),
    )
    report.add(
        SECTION,
        at_most("batched against one statement, latency alone", batched_ms / mirror_ms, 1.25, raw=raw),
    )


async def _at_once(report: Report, target: EmbeddedPostgresRecordStore, connections: int) -> None:
    changes = _Changes()
    single, batched = [], []
    for _ in range(ROUNDS):
        single.append(await _per_second(lambda c: target.apply([c]), changes, connections))
        batcher = _batcher(target)
        batched.append(await _per_second(batcher.mirror, changes, connections))
        await batcher.close()
    one, many = statistics.median(single), statistics.median(batched)
    raw = f"one statement each {one:.0f} a second, batched {many:.0f} a second"
    report.add(
        SECTION,
        at_least(f"batched against one statement each, {connections} at once", many / one, 2, raw=raw),
    )


async def _whole(report: Report, target: EmbeddedPostgresRecordStore) -> None:
    """The mirrored commit against the sum of its two halves, source in memory and on disk."""
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        for name, directory in (("memory", None), ("sqlite", Path(folder))):
            source = MontyRecordStore(directory, database=f"bench_{secrets.token_hex(4)}")
            await source.open()
            await source.prepare()
            settings = DualWriteSettings(timeout_ms=5_000)
            mirror_target = MirrorTarget(target, settings=settings)
            await mirror_target.connect()
            mirrored = MirroredStore(
                source, mirror_target, settings=settings, clock=SystemClock(), wake_relay=lambda: None
            )
            changes = _Changes(versioned_from_one=True)
            source_ms = await _median_ms(source.commit, [changes.next() for _ in range(ALONE)])
            target_ms = await _median_ms(lambda c: target.apply([c]), [changes.next() for _ in range(ALONE)])
            dual_ms = await _median_ms(mirrored.commit, [changes.next() for _ in range(ALONE)])
            raw = f"source {source_ms:.3f} ms, target {target_ms:.3f} ms, dual {dual_ms:.3f} ms (p50)"
            ratio = dual_ms / (source_ms + target_ms)
            report.add(SECTION, at_most(f"dual write against source + target, {name}", ratio, 1.3, raw=raw))
            await source.close()


def _batcher(target: EmbeddedPostgresRecordStore) -> MirrorBatcher:
    settings = DualWriteSettings(timeout_ms=10_000)
    return MirrorBatcher(
        MirrorTarget(target, settings=settings),
        settings=settings,
        judge=_as_is,
        on_outcome=lambda _change, _rejection, _ms: None,
    )


async def _as_is(outcome: ApplyOutcome) -> DeliveryOutcome:
    """No version of the target is ahead here."""
    return None if isinstance(outcome, Superseded) else outcome


class _Changes:
    """Change sets over hot tasks, each task's versions rising; ids and entries never repeat."""

    _generation = 0

    def __init__(self, *, versioned_from_one: bool = False) -> None:
        _Changes._generation += 1
        self._base = _Changes._generation * 10_000_000
        self._made = 0
        self._only_new = versioned_from_one

    def next(self) -> ChangeSet:
        """One more change."""
        number, round_number = self._made, 0
        if not self._only_new:
            round_number, number = divmod(self._made, TASKS_HOT)
        self._made += 1
        return task_change(self._base + number, round_number + 1, self._base + self._made)


async def _median_ms(work: Callable[[ChangeSet], Awaitable[Any]], changes: list[ChangeSet]) -> float:
    times = []
    for change in changes:
        began = time.perf_counter_ns()
        await work(change)
        times.append((time.perf_counter_ns() - began) / 1e6)
    return statistics.median(times)


async def _per_second(
    work: Callable[[ChangeSet], Awaitable[Any]], changes: _Changes, connections: int
) -> float:
    made = [changes.next() for _ in range(AT_ONCE)]

    async def one_after_another(start: int) -> None:
        for change in made[start::connections]:
            await work(change)

    began = time.perf_counter()
    await asyncio.gather(*(one_after_another(start) for start in range(connections)))
    return AT_ONCE / (time.perf_counter() - began)


class _BareUpsert:
    """The usual alternative: one prepared upsert of the same row with a version check, committed by itself."""

    def __init__(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        self._connection = connection
        columns = [("mongo_id" if field.name == "id" else field.column) for field in TASKS.fields]
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "mongo_id")
        self._statement = (
            f"INSERT INTO {TASKS.table} ({names}) VALUES ({marks}) ON CONFLICT (mongo_id) DO UPDATE SET {updates}"
            f" WHERE {TASKS.table}.version < excluded.version"
        )

    async def upsert(self, change: ChangeSet) -> None:
        """Stores the record, without its entry."""
        record = change.puts[0].record
        values = [
            Jsonb(record[field.name]) if field.kind is FieldKind.JSON else record[field.name]
            for field in TASKS.fields
        ]
        await self._connection.execute(self._statement, values, prepare=True)
