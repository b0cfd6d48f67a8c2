"""A writer that cannot reach the cache stops every other process from reading it, and then only acknowledges."""

import asyncio
import time

from adapters.cache.bypass_notice import BypassNotice
from adapters.records.record_store import RecordStore
from tests.unit.faults import FaultyStore, Weather
from tests.unit.memory_store import MemoryRecordStore

LOOK_SECONDS = 0.2


def notice(store: RecordStore, *, copy_seconds: float = 60.0) -> BypassNotice:
    return BypassNotice(store, copy_seconds=copy_seconds, look_seconds=LOOK_SECONDS)


async def reading(store: RecordStore) -> BypassNotice:
    """A process that reads from the cache."""
    process = notice(store)
    await looked(process)
    assert process.allows_reading()
    return process


async def looked(process: BypassNotice) -> None:
    """Lets the process look once at what the store holds now."""
    await asyncio.sleep(LOOK_SECONDS)
    assert not process.allows_reading()
    await process.close()


async def test_nobody_reads_the_cache_when_the_notice_is_given() -> None:
    store = MemoryRecordStore()
    writer, idle, busy = [await reading(store) for _ in range(3)]
    giving = asyncio.create_task(writer.give())
    while not giving.done():
        busy.allows_reading()
        await asyncio.sleep(0.01)
    await giving
    assert not idle.allows_reading()
    assert not busy.allows_reading()
    assert busy.is_suspended
    await looked(idle)
    assert not idle.allows_reading()
    for process in (writer, idle, busy):
        await process.close()


async def test_a_writer_is_not_suspended_by_its_own_notice() -> None:
    store = MemoryRecordStore()
    writer = await reading(store)
    await writer.give()
    await looked(writer)
    assert writer.allows_reading()


async def test_writers_that_give_notice_at_the_same_time_suspend_each_other() -> None:
    store = FaultyStore(MemoryRecordStore())
    writers = [await reading(store) for _ in range(3)]
    await asyncio.gather(*(writer.give() for writer in writers))
    for writer in writers:
        assert not writer.allows_reading()
        await writer.close()
        assert writer.is_suspended


async def test_only_the_first_of_many_writes_waits() -> None:
    store = MemoryRecordStore()
    writer = notice(store)
    await writer.give()
    began_at = time.monotonic()
    for _ in range(50):
        await writer.give()
    assert time.monotonic() - began_at < LOOK_SECONDS / 2
    assert len(await store.scan("control", after=None, limit=10)) == 1


async def test_a_process_that_cannot_look_does_not_read_the_cache() -> None:
    weather = Weather()
    process = await reading(FaultyStore(MemoryRecordStore(), weather))
    weather.is_down = True
    await looked(process)
    assert not process.allows_reading()
    await process.close()
    weather.is_down = False
    assert not process.allows_reading()
    await process.close()
    assert process.allows_reading()


async def test_a_suspension_ends_when_the_copies_have_expired() -> None:
    store = MemoryRecordStore()
    process = notice(store, copy_seconds=0.6)
    await looked(process)
    await notice(store, copy_seconds=0.6).give()
    await looked(process)
    assert not process.allows_reading()
    await asyncio.sleep(0.6)
    await looked(process)
    assert process.allows_reading()
