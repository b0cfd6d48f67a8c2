"""Documents from before Tandem get today's form when MontyDB is opened, and answer like all others from then on."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.objectid import ObjectId

from adapters.monty.record_store import MontyRecordStore
from adapters.records.criteria import AllOf, Equals, HasWords, Holds, Order
from adapters.records.old_records import waiting_in
from adapters.records.specs import TASKS
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

DATABASE = "tandem"


def write_raw(directory: Path, collection: str, *documents: Mapping[str, Any]) -> None:
    """Puts documents into the files as MontyDB's own sqlite storage does."""
    with (
        closing(sqlite3.connect(directory / DATABASE / f"{collection}.collection")) as connection,
        connection,
    ):
        for document in documents:
            connection.execute(
                "INSERT INTO documents(k, v) VALUES (?, ?)", (_key(document["_id"]), bson.encode(document))
            )


def _key(document_id: ObjectId | str) -> bytes:
    """The element of an `_id` without its name, which is MontyDB's key."""
    element = bson.encode({"": document_id})[4:-1]
    return element[:1] + element[2:]


def raw_ids(directory: Path, collection: str) -> list[object]:
    """The ids of the documents that lie in the file."""
    with closing(sqlite3.connect(directory / DATABASE / f"{collection}.collection")) as connection:
        rows = connection.execute("SELECT v FROM documents ORDER BY k").fetchall()
    return [bson.decode(data)["_id"] for (data,) in rows]


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
    assert raw_ids(directory, "tasks") == [str(OLD_ID)]


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


async def test_a_crash_between_writing_and_removing_leaves_one_record(directory: Path) -> None:
    write_raw(directory, "tasks", old_task())
    first = MontyRecordStore(directory)
    await first.open()
    record = (await first.fetch("tasks", [str(OLD_ID)]))[str(OLD_ID)]
    await first.commit(change_set(put("tasks", {**record, "version": 2, "title": "Newer"})))
    await first.close()
    write_raw(directory, "tasks", old_task())
    second = MontyRecordStore(directory)
    await second.open()
    (left,) = await second.scan("tasks", after=None, limit=9)
    assert (left["title"], left["version"]) == ("Newer", 2)
    await second.close()
    assert raw_ids(directory, "tasks") == [str(OLD_ID)]


async def test_documents_of_today_are_left_byte_for_byte(directory: Path) -> None:
    store = MontyRecordStore(directory)
    await store.open()
    await commit_all(store, "tasks", task(1), task(2, someday=[1]))
    await store.close()
    path = directory / DATABASE / "tasks.collection"
    before = path.read_bytes()
    again = MontyRecordStore(directory)
    await again.open()
    assert same(await fetched(again, "tasks", 2), task(2, someday=[1]))
    await again.close()
    assert path.read_bytes() == before


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
