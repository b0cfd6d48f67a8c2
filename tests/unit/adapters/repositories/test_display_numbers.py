"""Display numbers: no number is given twice, across tasks and processes."""

import asyncio

import pytest

from adapters.records.change_set import ChangeSet, Put
from adapters.records.control_records import DISPLAY_NUMBERS_ID, RESERVED
from adapters.records.specs import CONTROL, TASKS
from adapters.repositories.display_numbers import BLOCK, StoredDisplayNumbers
from domain.errors import StoreUnavailable
from tests.unit.builders import numbered_id, task
from tests.unit.counting_store import CountingStore
from tests.unit.faults import FaultyStore, Weather
from tests.unit.memory_store import MemoryRecordStore

CREATORS = 16


async def put_task(store: MemoryRecordStore, number: int, display_id: int | None) -> None:
    record = TASKS.mapping.to_record(task(number))
    await store.commit(ChangeSet((Put(TASKS.collection, {**record, "displayId": display_id}, 0),)))


async def reserved(store: MemoryRecordStore) -> int:
    record = (await store.fetch(CONTROL.collection, (DISPLAY_NUMBERS_ID,)))[DISPLAY_NUMBERS_ID]
    number: int = record["value"][RESERVED]
    return number


async def test_the_first_number_is_one_and_each_is_followed_by_the_next() -> None:
    numbers = StoredDisplayNumbers(MemoryRecordStore())
    assert [await numbers.next() for _ in range(10)] == list(range(1, 11))


async def test_sixteen_creators_in_four_processes_get_different_numbers() -> None:
    memory = MemoryRecordStore()
    weather = Weather()  # every call takes a turn of the loop, so that others come between
    processes = [StoredDisplayNumbers(FaultyStore(memory, weather)) for _ in range(4)]

    async def create(numbers: StoredDisplayNumbers) -> list[int]:
        return [await numbers.next() for _ in range(50)]

    given = await asyncio.gather(*(create(processes[number % 4]) for number in range(CREATORS)))

    every = [number for each in given for number in each]
    assert len(set(every)) == CREATORS * 50
    assert max(every) <= await reserved(memory)


async def test_a_process_that_starts_again_leaves_a_gap_and_gives_nothing_twice() -> None:
    store = MemoryRecordStore()
    first = StoredDisplayNumbers(store)
    before = [await first.next() for _ in range(10)]
    after = [await StoredDisplayNumbers(store).next() for _ in range(3)]
    assert before == list(range(1, 11))
    assert after == [BLOCK + 1, 2 * BLOCK + 1, 3 * BLOCK + 1]


async def test_without_a_control_record_numbers_go_on_above_those_that_tasks_have() -> None:
    store = MemoryRecordStore()
    for place, display_id in enumerate((3, 41, None, 7), start=1):
        await put_task(store, place, display_id)
    assert await StoredDisplayNumbers(store).next() == 42


async def test_after_a_clash_numbers_go_on_above_those_that_tasks_have() -> None:
    store = MemoryRecordStore()
    numbers = StoredDisplayNumbers(store)
    await numbers.several(3)
    await put_task(store, 1, 500)
    numbers.start_over()
    assert await numbers.next() == 501


async def test_after_a_clash_nothing_that_was_reserved_is_given_again() -> None:
    store = MemoryRecordStore()
    numbers, others = StoredDisplayNumbers(store), StoredDisplayNumbers(store)
    theirs = await others.several(300)
    numbers.start_over()
    assert await numbers.next() > max(theirs)


async def test_many_numbers_take_one_reservation() -> None:
    store = CountingStore(MemoryRecordStore())
    numbers = StoredDisplayNumbers(store)
    assert await numbers.several(1_000) == list(range(1, 1_001))
    assert store.reservations == 1


async def test_everybody_who_waits_is_served_by_few_reservations() -> None:
    store = CountingStore(FaultyStore(MemoryRecordStore(), Weather()))
    numbers = StoredDisplayNumbers(store)
    given = await asyncio.gather(*(numbers.next() for _ in range(CREATORS)))
    assert sorted(given) == list(range(1, CREATORS + 1))
    assert store.reservations <= 3


async def test_a_process_reserves_again_only_when_its_block_is_used_up() -> None:
    store = CountingStore(MemoryRecordStore())
    numbers = StoredDisplayNumbers(store)
    given = [await numbers.next() for _ in range(2 * BLOCK)]
    assert given == list(range(1, 2 * BLOCK + 1))
    assert store.reservations == 2


async def test_a_cancelled_request_takes_no_number_from_others() -> None:
    weather = Weather()
    numbers = StoredDisplayNumbers(FaultyStore(MemoryRecordStore(), weather))
    weather.freeze()
    impatient = asyncio.create_task(numbers.next())
    patient = asyncio.create_task(numbers.next())
    await asyncio.sleep(0)
    assert weather.calls
    impatient.cancel()
    weather.thaw()
    assert await patient >= 1
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await numbers.next() != patient.result()


async def test_after_an_outage_no_number_is_given_twice() -> None:
    weather = Weather()
    numbers = StoredDisplayNumbers(FaultyStore(MemoryRecordStore(), weather))
    block = await numbers.several(BLOCK)
    weather.is_down = True
    with pytest.raises(StoreUnavailable):
        await numbers.next()
    weather.is_down = False
    assert await numbers.next() > max(block)


async def test_a_task_in_the_trash_keeps_its_number() -> None:
    store = MemoryRecordStore()
    record = TASKS.mapping.to_record(task(1))
    trashed = {**record, "displayId": 9, "isDeleted": True}
    await store.commit(ChangeSet((Put(TASKS.collection, trashed, 0),)))
    assert await StoredDisplayNumbers(store).next() == 10
    assert numbered_id(1) in await store.fetch(TASKS.collection, [numbered_id(1)])
