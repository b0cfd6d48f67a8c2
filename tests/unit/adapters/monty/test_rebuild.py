"""When a spec or the rule for words changes, tables are rebuilt from their documents, and nothing is lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from loguru import logger

from adapters.monty.record_store import MontyRecordStore
from adapters.monty.schema import bring_up
from adapters.monty.tables import TABLES, Table
from adapters.records.criteria import AllOf, Equals, HasWords, Order, Question
from adapters.records.indexes import Index, Scope
from adapters.records.record import Record
from adapters.records.search import Rank
from adapters.records.specs import TASKS
from tests.unit.adapters.monty.raw_documents import database_of, outdate, write_raw
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    erasure,
    found_numbers,
    label,
    numbered_id,
    task,
)
from tests.unit.contracts.old_documents import old_task

LIVE = Equals("isDeleted", value=False)
EARLIER = Table(replace(TASKS, indexes=TASKS.indexes[:2], list_orders=(), text_fields=("title",)))
"""The tasks of a program that knew fewer indexes and searched titles only."""


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    """A closed store with a live task, one in the trash, a tombstone, and a label."""
    store = MontyRecordStore(tmp_path)
    await store.open()
    tasks = (task(1, title="Dig", description="the pond"), task(2, isDeleted=True, title="Rake"), task(3))
    await commit_all(store, "tasks", *tasks)
    await commit_all(store, "labels", label(1, name="Garden"))
    await store.commit(change_set(erasure("tasks", 3, version=2)))
    await store.close()
    return tmp_path


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What the log says."""
    lines: list[str] = []
    handler = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(handler)


def schema_of(directory: Path, collection: str) -> set[str]:
    """The statements that define a table, its indexes and triggers."""
    with closing(database_of(directory)) as connection:
        rows = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL", (collection,)
        )
        return {sql.replace('"', "") for (sql,) in rows}


async def records_in(directory: Path) -> list[Record]:
    store = MontyRecordStore(directory)
    await store.open()
    try:
        return await store.scan("tasks", after=None, limit=100)
    finally:
        await store.close()


async def test_a_table_of_another_spec_is_rebuilt_and_answers_alike(directory: Path) -> None:
    before, current = await records_in(directory), schema_of(directory, "tasks")
    with closing(database_of(directory)) as connection:
        bring_up(connection, [EARLIER])
    assert schema_of(directory, "tasks") != current
    store = MontyRecordStore(directory)
    await store.open()
    assert await found_numbers(store, "tasks", HasWords("pond dig", Rank.PARTLY_EXACT)) == [1]
    assert await found_numbers(store, "tasks", AllOf((LIVE, HasWords("rake")))) == []
    by_due = Question(collection="tasks", where=LIVE, order=Order("dueAt"), limit=9)
    assert [record["title"] for record in await store.find(by_due)] == ["Dig"]
    assert await store.count("tasks", LIVE) == 1
    await store.close()
    assert schema_of(directory, "tasks") == current
    assert await records_in(directory) == before


async def test_only_what_is_outdated_is_rebuilt_and_the_log_says_so(
    directory: Path, messages: list[str]
) -> None:
    await records_in(directory)
    assert messages == []
    with closing(database_of(directory)) as connection:
        outdate(connection, "labels")
    await records_in(directory)
    assert [message.strip() for message in messages] == [
        "The spec of labels has changed: the columns and words of 1 documents are rebuilt."
    ]


@pytest.mark.parametrize("steps", [500, 5_000, 50_000])
async def test_a_crash_in_the_middle_of_a_rebuild_leaves_the_table_as_it_was(
    directory: Path, steps: int
) -> None:
    store = MontyRecordStore(directory)
    await store.open()
    await commit_all(store, "tasks", *(task(number) for number in range(10, 1_000)))
    await store.close()
    before, current = await records_in(directory), schema_of(directory, "tasks")
    with closing(database_of(directory)) as connection:
        outdate(connection, "tasks")
        connection.set_progress_handler(lambda: True, steps)
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            bring_up(connection, TABLES.values())
    assert schema_of(directory, "tasks") == current
    assert await records_in(directory) == before


async def test_of_two_documents_with_one_unique_value_the_first_is_found_by_it(directory: Path) -> None:
    write_raw(
        directory, "tasks", *({**old_task(numbered_id(number)), "displayId": "#7"} for number in (8, 9))
    )
    store = MontyRecordStore(directory)
    await store.open()
    assert await found_numbers(store, "tasks", Equals("displayId", 7)) == [8]
    both = await store.fetch("tasks", [numbered_id(8), numbered_id(9)])
    assert [record["displayId"] for record in both.values()] == [7, 7]
    await store.close()


@pytest.mark.parametrize(
    "spec",
    [
        replace(TASKS, text_fields=("title",)),
        replace(TASKS, list_orders=("updatedAt",)),
        replace(TASKS, fields=tuple(field for field in TASKS.fields if field.name != "startedAt")),
        replace(TASKS, legacy_names=("elsewhere",)),
        replace(TASKS, indexes=(*TASKS.indexes, Index("tasks_more", ("status",), Scope.LIVE))),
        replace(TASKS, unique_keys=TASKS.unique_keys[:1]),
    ],
    ids=["text fields", "list orders", "fields", "former names", "indexes", "unique keys"],
)
def test_every_change_that_matters_changes_the_fingerprint(spec: object) -> None:
    assert Table(spec).fingerprint != TABLES["tasks"].fingerprint  # type: ignore[arg-type]
    assert Table(TASKS).fingerprint == TABLES["tasks"].fingerprint
