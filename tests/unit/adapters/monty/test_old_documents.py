"""Documents of an older spec get today's form when the store rebuilds a table, and answer like all others then."""

from contextlib import closing
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.records.criteria import AllOf, Equals, HasWords, Holds, Order
from adapters.records.old_records import waiting_in
from adapters.records.specs import TASKS
from tests.unit.adapters.monty.raw_documents import database_of, outdate, raw_documents, write_raw
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    fetched,
    found_numbers,
    numbered_id,
    put,
    same,
    task,
)
from tests.unit.contracts.old_documents import LABEL, OLD_ID, old_task, unmendable_task


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    """The directory of a store that was opened once."""
    store = MontyRecordStore(tmp_path)
    await store.open()
    await store.close()
    return tmp_path


async def test_an_old_document_is_read_and_found_in_today_s_form(directory: Path) -> None:
    write_raw(directory, "tasks", old_task())
    store = MontyRecordStore(directory)
    await store.open()
    record = (await store.fetch("tasks", [str(OLD_ID)]))[str(OLD_ID)]
    assert TASKS.entity(record).priority == 1
    live = AllOf((Equals("isDeleted", False), Equals("priority", 1), Holds("labelIds", str(LABEL))))
    assert [f"{number:024x}" for number in await found_numbers(store, "tasks", live)] == [str(OLD_ID)]
    assert len(await found_numbers(store, "tasks", HasWords("gate"), order=Order("dueAt"))) == 1
    assert (await store.scan("tasks", after=None, limit=9)) == [record]
    await store.close()
    assert [document["_id"] for document in raw_documents(directory, "tasks")] == [str(OLD_ID)]


async def test_the_next_change_goes_on_from_the_version_it_had(directory: Path) -> None:
    write_raw(directory, "tasks", old_task(version=6))
    store = MontyRecordStore(directory)
    await store.open()
    record = (await store.fetch("tasks", [str(OLD_ID)]))[str(OLD_ID)]
    assert record["version"] == 6
    after = {**record, "version": 7, "title": "Mended"}
    await store.commit(change_set(put("tasks", after)))
    assert same(await store.fetch("tasks", [str(OLD_ID)]), {str(OLD_ID): after})
    await store.close()


async def test_documents_of_today_are_left_byte_for_byte_by_a_rebuild(directory: Path) -> None:
    store = MontyRecordStore(directory)
    await store.open()
    await commit_all(store, "tasks", task(1), task(2, someday=[1]))
    await store.close()
    before = raw_documents(directory, "tasks")
    with closing(database_of(directory)) as connection:
        outdate(connection, "tasks")
    again = MontyRecordStore(directory)
    await again.open()
    assert same(await fetched(again, "tasks", 2), task(2, someday=[1]))
    await again.close()
    assert raw_documents(directory, "tasks") == before


async def test_what_cannot_be_mended_is_kept_and_counted(directory: Path) -> None:
    write_raw(directory, "tasks", unmendable_task(1), old_task())
    store = MontyRecordStore(directory)
    await store.open()
    await commit_all(store, "tasks", task(3))
    found = await waiting_in(store, "tasks")
    assert (found.looked_at, found.waiting, found.unfit, found.is_complete) == (3, 0, 1, True)
    kept = await fetched(store, "tasks", 1)
    assert kept is not None
    assert (kept["id"], kept["status"], kept.get("title")) == (numbered_id(1), "IN_PROGRESS", None)
    await store.close()
