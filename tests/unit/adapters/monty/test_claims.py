"""Values that records hold alone, where one change set hands them on."""

from collections.abc import AsyncIterator

import pytest

from adapters.monty.record_store import MontyRecordStore
from domain.errors import AlreadyExists
from tests.unit.contracts.builders import change_set, commit_all, fetched, put, task


@pytest.fixture
async def store() -> AsyncIterator[MontyRecordStore]:
    store = MontyRecordStore(None)
    await store.open()
    await commit_all(store, "tasks", task(1, externalKey="first"), task(2, externalKey="second"))
    yield store
    await store.close()


async def test_a_value_that_its_holder_keeps_in_the_same_change_set_is_refused(
    store: MontyRecordStore,
) -> None:
    kept = task(1, version=2, title="Renamed", externalKey="first")
    with pytest.raises(AlreadyExists):
        await store.commit(change_set(put("tasks", kept), put("tasks", task(3, externalKey="first"))))
    assert await fetched(store, "tasks", 1) == task(1, externalKey="first")
    assert await fetched(store, "tasks", 3) is None


async def test_a_value_that_its_holder_gives_up_in_the_same_change_set_is_free(
    store: MontyRecordStore,
) -> None:
    given = task(1, version=2, externalKey=None)
    taken = task(3, externalKey="first")
    await store.commit(change_set(put("tasks", given), put("tasks", taken)))
    assert await fetched(store, "tasks", 3) == taken


async def test_two_records_swap_their_values(store: MontyRecordStore) -> None:
    first = task(1, version=2, externalKey="second")
    second = task(2, version=2, externalKey="first")
    await store.commit(change_set(put("tasks", first), put("tasks", second)))
    assert await fetched(store, "tasks", 1) == first
    assert await fetched(store, "tasks", 2) == second
