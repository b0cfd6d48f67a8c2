"""The mirror is up only while it mirrors; otherwise it says what is wrong, since when, and what to type."""

import asyncio
from dataclasses import replace

import pytest

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.relay import Relay
from adapters.dual_write.settings import DualWriteSettings
from adapters.dual_write.synchronisation import Mirror, StoredSynchronisation
from adapters.observability.recent_errors import RecentErrors
from application.ports.health import ComponentHealth
from entrypoints.composition.health import StackHealth
from entrypoints.composition.mirror_health import LAG_SECONDS_MAX, RELAY_SILENT_SECONDS_MAX
from entrypoints.composition.schema_watch import SchemaWatch
from tests.unit.adapters.dual_write.virtual_time import LoopClock, advance, simulate
from tests.unit.adapters.dual_write.world import change_set_of, creation
from tests.unit.faults import FaultyStore, Weather
from tests.unit.memory_store import MemoryRecordStore


class World:
    """A mirror in virtual time, and its health."""

    def __init__(self, weather: Weather, *, enabled: bool = True) -> None:
        settings, clock = replace(DualWriteSettings(), enabled=enabled), LoopClock()
        self.source = MemoryRecordStore("source")
        target = MirrorTarget(FaultyStore(MemoryRecordStore("target"), weather), settings=settings)
        self.relays_source = Weather()
        self.relay = Relay(
            FaultyStore(self.source, self.relays_source),
            target,
            settings=settings,
            clock=clock,
            holder="a process",
        )
        self.store = MirroredStore(
            self.source, target, settings=settings, clock=clock, wake_relay=self.relay.wake
        )
        mirror = Mirror(target, self.relay, self.store.latencies, self.store.commit)
        self.health = StackHealth(
            source=self.source,
            errors=RecentErrors(self.source),
            target=target,
            cached=None,
            synchronisation=StoredSynchronisation(self.source, mirror, settings=settings, clock=clock),
            is_preparing=False,
            obstacle=None,
            relay=self.relay,
            clock=clock,
            raw_source=self.source,
            raw_target=None,
            schema_watch=SchemaWatch(),
        )

    async def write(self, number: int) -> None:
        await self.store.commit(change_set_of(creation(number, updatedAt=LoopClock().now())))

    async def mirror(self) -> ComponentHealth:
        return (await self.health.components())["mirror"]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_mirror_without_a_backlog_is_up(*, enabled: bool) -> None:
    async def check() -> None:
        world = World(Weather(), enabled=enabled)
        await world.store.open()
        running = asyncio.ensure_future(world.relay.run())
        await asyncio.sleep(10 * LAG_SECONDS_MAX)
        assert (await world.mirror()).status == "UP"
        world.relay.stop()
        await running

    simulate(check())


def test_a_paused_mirror_with_a_backlog_is_degraded_and_says_how_to_go_on() -> None:
    async def check() -> None:
        world = World(Weather(), enabled=False)
        await world.store.open()
        await world.write(1)
        await asyncio.sleep(2)
        mirror = await world.mirror()
        assert mirror.status == "DEGRADED"
        assert mirror.detail == (
            "Mirroring is paused, and 1 change waits, the oldest since 2026-03-02 12:00:00 UTC."
            " To go on, set DUAL_WRITE_ENABLED=true and start again: tandem serve"
        )

    simulate(check())


def test_a_mirror_whose_target_is_not_called_is_degraded_and_names_the_cause() -> None:
    async def check() -> None:
        world = World(Weather())
        await world.store.open()
        assert world.health.target is not None
        world.health.target.breaker.trip("The target is frozen.")
        mirror = await world.mirror()
        assert (mirror.status, mirror.detail) == ("DEGRADED", "Nothing is mirrored: The target is frozen")

    simulate(check())


def test_a_mirror_that_lags_is_degraded_once_the_bound_is_passed() -> None:
    async def check() -> None:
        weather = Weather()
        world = World(weather)
        await world.store.open()
        weather.is_down = True
        await world.write(1)
        await asyncio.sleep(LAG_SECONDS_MAX - 1)
        assert (await world.mirror()).status == "UP"
        await asyncio.sleep(2)
        mirror = await world.mirror()
        assert mirror.status == "DEGRADED"
        assert mirror.detail == (
            "1 change waits, the oldest since 2026-03-02 12:00:00 UTC. For the cause, type: tandem sync status"
        )

    simulate(check())


def test_a_relay_that_is_stuck_is_seen() -> None:
    async def check() -> None:
        world = World(Weather())
        await world.store.open()
        await world.write(1)
        world.relays_source.freeze()
        running = asyncio.ensure_future(world.relay.run())
        await asyncio.sleep(0)
        advance(RELAY_SILENT_SECONDS_MAX + 1)
        mirror = await world.mirror()
        assert mirror.status == "DEGRADED"
        assert mirror.detail is not None
        assert mirror.detail.startswith("The relay of this process has done nothing since 2026-03-02 12:00:0")
        world.relays_source.thaw()
        world.relay.stop()
        await running

    simulate(check())
