"""Rows that somebody deletes with another program: their numbers are given again, with nothing left of them."""

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.monty.tuning import Tuning
from adapters.records.criteria import Equals, HasWords
from adapters.records.record import IS_DELETED
from tests.unit.contracts.builders import change_set, found_numbers, numbered_id, put, task


@pytest.mark.parametrize("stale_max", [0, 1_000])
async def test_a_row_deleted_by_hand_is_not_counted_and_its_words_are_not_found(stale_max: int) -> None:
    """The words are indexed with each commit, or later."""
    store = MontyRecordStore(None, tuning=Tuning(stale_max=stale_max))
    await store.open()
    for number in (1, 2):
        await store.commit(change_set(put("tasks", task(number, title=f"Hedgehog {number}"))))
    assert await found_numbers(store, "tasks", HasWords("hedgehog")) == [1, 2]

    store._file.writer.execute("DELETE FROM tasks WHERE id = ?", (numbered_id(2),))
    await store.commit(change_set(put("tasks", task(3, title="Badger"))))

    assert await found_numbers(store, "tasks", HasWords("hedgehog")) == [1]
    assert await found_numbers(store, "tasks", HasWords("badger")) == [3]
    assert await store.count("tasks", Equals(IS_DELETED, False)) == 2
    await store.close()
