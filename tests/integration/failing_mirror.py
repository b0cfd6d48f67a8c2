"""A mirror to a PostgreSQL that fails on purpose: what arrives when, and what operators see."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.relay import Relay
from adapters.dual_write.settings import DualWriteSettings, MirrorMode
from adapters.dual_write.synchronisation import Mirror, StoredSynchronisation
from adapters.monty.record_store import MontyRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.change_set import ChangeSet
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.system.clock import SystemClock
from application.ports.synchronisation import BlockedTableSync, BreakerSync
from domain.errors import MirrorPending
from tests.unit.contracts.builders import change_set, label, put, task

POLL_SECONDS = 0.05
POOL_MAX = 3
NOT_WRITTEN: Record = {"syncStatus": None, "syncAttempts": 0, "syncError": None}


@dataclass(slots=True)
class FailingMirror:
    """MontyDB in memory, mirrored to a database that somebody else breaks."""

    source: RecordStore
    store: MirroredStore
    sync: StoredSynchronisation
    pending: set[str] = field(default_factory=set)
    """The ids of the entries whose requests were told that their change is not confirmed."""

    async def write(self, *change_sets: ChangeSet) -> None:
        """Commits them at the same time, as requests do."""
        await asyncio.gather(*map(self._write, change_sets))

    async def _write(self, change_set: ChangeSet) -> None:
        try:
            await self.store.commit(change_set)
        except MirrorPending:
            self.pending |= set(change_set.entry_ids)

    async def entries(self, change_sets: Sequence[ChangeSet]) -> list[Record]:
        """Their entries, as the source holds them now."""
        ids = [id_ for one in change_sets for id_ in one.entry_ids]
        found = await self.source.fetch("audit_logs", ids)
        return [found.get(id_, NOT_WRITTEN) for id_ in ids]

    async def seconds_until(
        self, change_sets: Sequence[ChangeSet], holds: Callable[[Record], bool], *, seconds_max: float
    ) -> float:
        """How long it takes until every entry is as it should be. Fails with the entries that are not."""
        started = time.monotonic()
        while True:
            wrong = [entry for entry in await self.entries(change_sets) if not holds(entry)]
            if not wrong:
                return time.monotonic() - started
            if time.monotonic() - started > seconds_max:
                shown = [
                    (entry["syncStatus"], entry["syncAttempts"], entry["syncError"]) for entry in wrong[:3]
                ]
                raise AssertionError(f"{len(wrong)} entries after {seconds_max} s, such as {shown}")
            await asyncio.sleep(POLL_SECONDS)

    async def blocked_tables(self, after_seconds: float) -> Sequence[BlockedTableSync]:
        """The blocked tables, asked when the answer to earlier callers is not shared any more."""
        await asyncio.sleep(after_seconds)
        return (await self.sync.metrics()).blocked_tables

    async def breaker_with(self, reason: str, *, seconds_max: float) -> BreakerSync:
        """The breaker, once it shows this reason. Fails with the reason that it shows instead."""
        deadline = time.monotonic() + seconds_max
        while True:
            breaker = (await self.sync.metrics()).breaker
            if reason in (breaker.reason or ""):
                return breaker
            assert time.monotonic() < deadline, f"the breaker says: {breaker.reason}"
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def failing_mirror(url: str, mode: MirrorMode) -> AsyncIterator[FailingMirror]:
    """A mirror with its relay at work; attempts follow each other quickly, everything else is as delivered."""
    settings = DualWriteSettings(
        mode=mode, timeout_ms=2_000, retry_delay_seconds=0.1, relay_interval_ms=200, mark_interval_ms=20
    )
    source, target_store = MontyRecordStore(None), PostgresRecordStore(url, pool_max=POOL_MAX)
    target = MirrorTarget(target_store, settings=settings)
    clock = SystemClock()
    relay = Relay(source, target, settings=settings, clock=clock, holder="the only process")
    store = MirroredStore(source, target, settings=settings, clock=clock, wake_relay=relay.wake)
    sync = StoredSynchronisation(
        source, Mirror(target, relay, store.latencies, store.commit), settings=settings, clock=clock
    )
    await store.open()
    await source.prepare()
    running = asyncio.create_task(relay.run())
    try:
        yield FailingMirror(source, store, sync)
    finally:
        relay.stop()
        await running
        await store.close()


def others(first: int) -> tuple[list[ChangeSet], list[ChangeSet]]:
    """Ten new labels and ten new tasks, each a change set of its own."""
    labels = [change_set(put("labels", label(first + number))) for number in range(10)]
    tasks = [change_set(put("tasks", task(first + number, description="Some"))) for number in range(10)]
    return labels, tasks
