from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.relay import Relay
from adapters.dual_write.settings import DualWriteSettings
from adapters.dual_write.synchronisation import Mirror, StoredSynchronisation
from adapters.observability.recent_errors import RecentErrors
from adapters.observability.watched_store import WatchedStore
from adapters.records.record import CorruptRecord, Record
from adapters.records.record_store import NotOpen, StoreRefused
from adapters.system.clock import SystemClock
from entrypoints.composition.health import DETAIL_LENGTH_MAX, OPENING, StackHealth, down, without_places
from entrypoints.composition.schema_watch import SchemaWatch
from tests.unit.memory_store import MemoryRecordStore


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("The disk is full.", "The disk is full."),
        ("It cannot be started in /var/lib/tandem: no room.", "It cannot be started in …: no room."),
        ("No answer from postgresql://anna:secret@db/tandem today", "No answer from … today"),
        ("It failed.\nFATAL: at /x/y", "It failed."),
        ("1/2 of them; and/or more", "1/2 of them; and/or more"),
        ("", ""),
    ],
)  # fmt: skip
def test_everybody_sees_the_reason_without_places(reason: str, shown: str) -> None:
    assert without_places(reason) == shown


def test_a_long_reason_is_cut_for_everybody_and_whole_for_operators() -> None:
    health = down("x" * 1_000)
    assert len(health.detail or "") == DETAIL_LENGTH_MAX
    assert health.reason == "x" * 1_000
    assert health.status == "DOWN"


REFUSED = "This store belongs to another installation. Name the right one."


class SwappedStore(MemoryRecordStore):
    """A target at whose address another installation's database appeared."""

    async def ping(self) -> None:
        raise StoreRefused("This store belongs to another installation.", remedy="Name the right one.")


class BrokenStore(MemoryRecordStore):
    """A store with a bug of ours, which no probe expects."""

    async def ping(self) -> None:
        raise KeyError("secret")


class ClosedStore(MemoryRecordStore):
    """A store that could not be opened yet."""

    async def ping(self) -> None:
        raise NotOpen("It is not open.")


def health_over(source: MemoryRecordStore, target: MemoryRecordStore) -> StackHealth:
    settings, clock = DualWriteSettings(), SystemClock()
    mirrored = MirrorTarget(target, settings=settings)
    relay = Relay(source, mirrored, settings=settings, clock=clock, holder="a process")
    store = MirroredStore(source, mirrored, settings=settings, clock=clock, wake_relay=relay.wake)
    mirror = Mirror(mirrored, relay, store.latencies, store.commit)
    return StackHealth(
        source=source,
        errors=RecentErrors(source),
        target=mirrored,
        cached=None,
        synchronisation=StoredSynchronisation(source, mirror, settings=settings, clock=clock),
        is_preparing=False,
        obstacle=None,
        relay=relay,
        clock=clock,
        raw_source=source,
        raw_target=target,
        schema_watch=SchemaWatch(),
    )


async def test_a_source_that_the_start_waits_for_is_down_with_the_cause_of_the_last_attempt() -> None:
    health = health_over(ClosedStore("source"), MemoryRecordStore("target"))
    assert (await health.components())["db"].reason == OPENING
    waiting = replace(health, obstacle="The password is wrong.")
    assert (await waiting.components())["db"].reason == "The password is wrong."


async def test_a_target_that_must_not_be_used_is_down_with_its_reason_and_the_source_up() -> None:
    health = health_over(MemoryRecordStore("source"), SwappedStore("target"))

    components = await health.components()
    metrics = await health.synchronisation.metrics()

    assert components["db"].status == "UP"
    assert (components["target"].status, components["target"].reason) == ("DOWN", REFUSED)
    assert (metrics.target_reachable, metrics.breaker.reason) == (False, REFUSED)


async def test_a_check_that_fails_in_an_unknown_way_is_down_and_stops_no_other() -> None:
    components = await health_over(MemoryRecordStore("source"), BrokenStore("target")).components()

    assert components["db"].status == "UP"
    assert components["target"].status == "DOWN"
    assert components["target"].reason == "It could not be checked (KeyError)."


class DamagedStore(MemoryRecordStore):
    """A store with one document that cannot be decoded."""

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        if "a" in ids:
            raise CorruptRecord("not for everybody")
        return await super().fetch(collection, ids)


async def test_one_damaged_record_degrades_the_source_and_is_named() -> None:
    source = DamagedStore("source")
    health = health_over(source, MemoryRecordStore("target"))
    with pytest.raises(CorruptRecord):
        await WatchedStore(source, health.errors).fetch("tasks", ["a"])

    db = (await health.components())["db"]

    assert (db.up, db.status) == (True, "DEGRADED")
    assert db.detail == "A stored record is damaged (tasks a): restore it from a copy."
