"""A mirror to a PostgreSQL that fails on purpose: what arrives when, and what operators see."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from adapters.dual_write.settings import MirrorMode
from adapters.records.change_set import ChangeSet
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from application.ports.health import ComponentHealth
from application.ports.synchronisation import BreakerSync, Synchronisation
from domain.errors import MirrorPending
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import read_settings
from entrypoints.composition.store_stack import StoreStack
from tests.servers.directories import open_directory
from tests.servers.report import times_slower
from tests.unit.contracts.builders import change_set, label, put, task

POLL_SECONDS = 0.05
START_SECONDS_MAX = 30.0
NOT_WRITTEN: Record = {"syncStatus": None, "syncAttempts": 0, "syncError": None}


class Deadline:
    """A bound in seconds on the machine to which bounds refer; longer by how much slower this one is by then."""

    def __init__(self, seconds_max: float) -> None:
        self._started = time.monotonic()
        self._seconds_max = seconds_max
        self._is_extended = False

    @property
    def elapsed_seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._started

    async def wait(self, otherwise: str) -> None:
        """Returns after a moment, or fails with these words."""
        if self.elapsed_seconds > self._seconds_max and not self._is_extended:
            self._seconds_max *= times_slower()
            self._is_extended = True
        assert self.elapsed_seconds <= self._seconds_max, otherwise
        await asyncio.sleep(POLL_SECONDS)


@dataclass(slots=True)
class FailingMirror:
    """MontyDB in memory, mirrored to a database that somebody else breaks."""

    stack: StoreStack
    pending: set[str] = field(default_factory=set)
    """The ids of the entries whose requests were told that their change is not confirmed."""

    @property
    def source(self) -> RecordStore:
        """The store that owns the writes."""
        return self.stack.source

    @property
    def sync(self) -> Synchronisation:
        """What `tandem sync` and the metrics show."""
        return self.stack.synchronisation

    async def health(self) -> Mapping[str, ComponentHealth]:
        """What the probes, the start page and `tandem doctor` show."""
        return await self.stack.components()

    async def write(self, *change_sets: ChangeSet) -> None:
        """Commits them at the same time, as requests do."""
        await asyncio.gather(*map(self._write, change_sets))

    async def _write(self, change_set: ChangeSet) -> None:
        try:
            await self.stack.store.commit(change_set)
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
        deadline = Deadline(seconds_max)
        while True:
            wrong = [entry for entry in await self.entries(change_sets) if not holds(entry)]
            if not wrong:
                return deadline.elapsed_seconds
            shown = [(entry["syncStatus"], entry["syncAttempts"], entry["syncError"]) for entry in wrong[:3]]
            await deadline.wait(f"{len(wrong)} entries after {seconds_max} s, such as {shown}")

    async def until_up(self, *, seconds_max: float) -> None:
        """Waits until every component is up. Fails with those that are not."""
        deadline = Deadline(seconds_max)
        while wrong := {
            name: one.reason for name, one in (await self.health()).items() if one.status != "UP"
        }:
            await deadline.wait(str(wrong))

    async def breaker_with(self, reason: str, *, seconds_max: float) -> BreakerSync:
        """The breaker, once it shows this reason. Fails with the reason that it shows instead."""
        deadline = Deadline(seconds_max)
        while True:
            breaker = (await self.sync.metrics()).breaker
            if reason in (breaker.reason or ""):
                return breaker
            await deadline.wait(f"the breaker says: {breaker.reason}")


@asynccontextmanager
async def failing_mirror(
    url: str, mode: MirrorMode, *, timeout_ms: int = 2_000
) -> AsyncIterator[FailingMirror]:
    """The stores of a service with its relay at work; attempts follow each other quickly, the rest is as delivered."""
    with open_directory() as directory:
        settings = read_settings(
            {
                "APP_ENV": "test",
                "STORE": "dual",
                "MONTY_STORAGE": "memory",
                "POSTGRES_URL": url,
                "DATA_DIR": str(directory),
            }
        )
        quick = replace(
            settings.dual_write,
            mode=mode,
            timeout_ms=timeout_ms,
            retry_delay_seconds=0.1,
            relay_interval_ms=200,
            mark_interval_ms=20,
        )
        stack = build_container(replace(settings, dual_write=quick)).stack()
        try:
            await stack.open(within_seconds=START_SECONDS_MAX)
            stack.start_relay()
            yield FailingMirror(stack)
        finally:
            await stack.close()


def others(first: int) -> tuple[list[ChangeSet], list[ChangeSet]]:
    """Ten new labels and ten new tasks, each a change set of its own."""
    labels = [change_set(put("labels", label(first + number))) for number in range(10)]
    tasks = [change_set(put("tasks", task(first + number, description="Some"))) for number in range(10)]
    return labels, tasks
