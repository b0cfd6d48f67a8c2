"""What routes add to a read: without a route, beside a route, and with shadow reads."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from statistics import median

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.settings import DualWriteSettings
from adapters.migration.own_writes import OwnWrites
from adapters.migration.request_reads import CURRENT, RequestReads
from adapters.migration.routed_store import ReadRules, RoutedStore
from adapters.migration.routes import Routes
from adapters.migration.shadow import ShadowReads
from adapters.migration.undelivered_watch import UndeliveredWatch
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record_store import RecordStore
from adapters.records.specs import TASKS
from adapters.system.clock import SystemClock
from benchmarks.report import Report, at_most
from domain.entity import Stamp
from domain.migration import Route
from domain.task import Task

SECTION = "Routed reads"
READS = 5_000
ROUNDS = 9
TURNS = 30
CALLERS = 100
SHADOW_PERCENT = 10
PAUSE_SECONDS = 0.0005
"""Between two reads, so that shadow reads get their turn as they do in a service that is not saturated."""
CREATED_AT = datetime(2026, 5, 1, tzinfo=UTC)
ID = "65f1c0ffee65f1c0ffee65f1"


async def measure(report: Report) -> None:
    """Reads of one task by its id over embedded stores in memory, in turn in this process."""
    source, target = await _filled(), await _filled()
    routed, routes = _routed(source, target)
    bare, unrouted, beside = await _unrouted_us(source, routed, routes)
    raw = f"bare {bare:.2f} µs, with the layer {unrouted:.2f} µs, least of {ROUNDS} rounds of {READS}"
    report.add(SECTION, at_most("no route", unrouted - bare, 5, unit="µs", raw=raw))
    raw = f"bare {bare:.2f} µs, beside a route {beside:.2f} µs"
    report.add(SECTION, at_most("a route of another caller", beside - bare, 5, unit="µs", raw=raw))
    plain, shadowed = await _median_us(routed, routes)
    raw = f"median without {plain:.1f} µs, with {SHADOW_PERCENT} % {shadowed:.1f} µs"
    report.add(SECTION, at_most("shadow reads: the caller's median", shadowed - plain, 5, unit="µs", raw=raw))
    if routed.shadows is not None:
        await routed.shadows.close()


async def _unrouted_us(
    source: RecordStore, routed: RoutedStore, routes: Routes
) -> tuple[float, float, float]:
    """Microseconds of CPU for a read: bare, with the layer and no route, and where a route concerns others."""
    bare, unrouted, beside = [], [], []
    CURRENT.set(RequestReads(caller_id="0" * 24))
    for _ in range(ROUNDS):
        routes.learn({}, asked_at=time.monotonic())
        bare.append(await _cpu_us(lambda: source.fetch(TASKS.collection, [ID])))
        unrouted.append(await _cpu_us(lambda: routed.fetch(TASKS.collection, [ID])))
        routes.learn({"labels": Route(target_percent=100)}, asked_at=time.monotonic())
        beside.append(await _cpu_us(lambda: routed.fetch(TASKS.collection, [ID])))
    return min(bare), min(unrouted), min(beside)


async def _cpu_us(read: Callable[[], Awaitable[object]]) -> float:
    began = time.thread_time_ns()
    for _ in range(READS):
        await read()
    return (time.thread_time_ns() - began) / READS / 1000


async def _median_us(routed: RoutedStore, routes: Routes) -> tuple[float, float]:
    """What callers wait at the median, without and with shadow reads, in turn."""
    plain: list[float] = []
    shadowed: list[float] = []
    for _ in range(TURNS):
        routes.learn({}, asked_at=time.monotonic())
        plain += await _waited_us(routed)
        shadow = Route(shadow_percent=SHADOW_PERCENT)
        routes.learn({TASKS.collection: shadow}, asked_at=time.monotonic())
        shadowed += await _waited_us(routed)
    return median(plain), median(shadowed)


async def _waited_us(routed: RoutedStore) -> list[float]:
    """How long each caller waited for one read."""
    waited = []
    for number in range(CALLERS):
        CURRENT.set(RequestReads(caller_id=f"{number:024x}"))
        began = time.perf_counter_ns()
        await routed.fetch(TASKS.collection, [ID])
        waited.append((time.perf_counter_ns() - began) / 1000)
        await asyncio.sleep(PAUSE_SECONDS)
    return waited


async def _filled() -> MontyRecordStore:
    store = MontyRecordStore(None)
    await store.open()
    await store.prepare()
    stamp = Stamp(CREATED_AT, "a" * 24)
    record = TASKS.mapping.to_record(Task.create(ID, stamp, {"title": "Dig the pond"}))
    await store.apply([ChangeSet((Put(TASKS.collection, record, 0),))])
    return store


def _routed(source: RecordStore, target_store: RecordStore) -> tuple[RoutedStore, Routes]:
    routes, clock = Routes(), SystemClock()
    target = MirrorTarget(target_store, settings=DualWriteSettings())
    rules = ReadRules(
        routes=routes,
        own_writes=OwnWrites(now_ms=lambda: round(time.time() * 1000)),
        watch=UndeliveredWatch(lambda: source, is_needed=lambda: False, clock=clock),
        is_shared=lambda: False,
    )
    routed = RoutedStore(source, target=lambda: target, rules=rules, on_error=_failed)
    routed.shadows = ShadowReads(
        source, at_target=routed.read_shadow, on_difference=_failed, on_error=_failed
    )
    return routed, routes


def _failed(what: object) -> None:
    raise AssertionError(f"both stores hold the same, and yet: {what}")
