"""Plain MontyDB is the reference: the same answers from the same documents, and a client that reads the file."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from montydb import MontyClient, set_storage
from montydb.errors import OperationFailure

from adapters.monty.record_store import MontyRecordStore
from adapters.monty.tuning import Strategy, Tuning
from adapters.records.change_set import ChangeSet
from adapters.records.criteria import (
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    Holds,
    IsNull,
    NotNull,
    OneOf,
    Order,
    Question,
    Range,
    after_position,
)
from adapters.records.document_filter import WORDS as TOKENS
from adapters.records.document_filter import filter_of
from adapters.records.record import ID, VERSION, Record
from adapters.records.search import Rank
from adapters.records.specs import SPECS, TASKS
from tests.unit.contracts.builders import commit_all, minutes, numbered_id, put, task

QUESTIONS = 150
TUNINGS = {
    7: Tuning(),
    11: Tuning(stale_max=2, strategy=Strategy.ORDER_AND_PROBE),
    13: Tuning(stale_max=3, strategy=Strategy.ORDER_AND_LIST),
    17: Tuning(stale_max=1, strategy=Strategy.GATHER),
    19: Tuning(stale_max=2, strategy=Strategy.ORDER_AND_SIFT),
}
"""Every way in which questions are answered, each with a seed of its own."""
RECORDS = 40
VALUES: dict[str, list[Any]] = {
    "id": [numbered_id(number) for number in range(RECORDS)],
    "createdBy": ["anna", "ben"],
    "projectId": ["garden", "house", None],
    "status": ["TODO", "DONE"],
    "priority": [1, 2, 3],
    "isDeleted": [False, False, True],
    "externalKey": [None, *(f"key {number}" for number in range(8))],
    "createdAt": [minutes(number) for number in range(6)],
    "dueAt": [None, *(minutes(number) for number in range(4))],
    "title": ["Pond dig the", "rose garden Öl", "dig the rose"],
    "description": [None, "", "A rose by the pond", "Öl", "dig, dig and dig"],
}
WORDS = ["pond", "dig", "ROSE", "rose garden", "rose g", "öl", "ol", "#3", ""]
SORTABLE = [
    "title",
    "description",
    "id",
    "createdBy",
    "projectId",
    "priority",
    "createdAt",
    "dueAt",
    "externalKey",
]


class Chance(random.Random):
    """Records and questions that hit each other often."""

    def record(self, number: int, version: int, keys_taken: set[str]) -> Record:
        fields = {name: self.choice(values) for name, values in VALUES.items() if name != ID}
        if fields["externalKey"] in keys_taken:
            fields["externalKey"] = None
        title = self.choice(
            [fields.pop("title"), " ".join(self.sample(["Pond", "dig", "the", "rose", "garden", "Öl"], 3))]
        )
        labels = self.sample(["a", "b", "c"], self.randrange(3))
        text = fields.pop("description")
        return task(number, version=version, title=title, description=text, labelIds=labels, **fields)

    def criterion(self, depth: int = 0) -> Criterion:
        kind = self.randrange(11 if depth < 3 else 8)
        if kind > 7:
            inner = tuple(self.criterion(depth + 1) for _ in range(self.randrange(4)))
            return AnyOf(inner) if kind == 8 else AllOf(inner)
        if kind == 6:
            return Holds("labelIds", self.choice("abc"))
        if kind == 7:
            return HasWords(self.choice(WORDS), self.choice([None, *Rank]))
        return self.about(self.choice(list(VALUES)), kind)

    def about(self, name: str, kind: int) -> Criterion:
        values = [value for value in VALUES[name] if value is not None]
        if kind == 2:
            return OneOf(name, tuple(self.sample(values, self.randrange(min(4, len(values) + 1)))))
        if kind == 3:
            return IsNull(name)
        if kind == 4:
            return NotNull(name)
        if kind == 5 and name != "isDeleted":
            bounds = {
                self.choice(["above", "at_least", "below", "at_most"]): self.choice(values) for _ in "12"
            }
            return Range(field=name, **bounds)
        return Equals(name, self.choice(values))

    def question(self) -> Question:
        # Most questions pin a few fields at the top, as those of the service do.
        pinned = [
            self.about(name, self.choice([0, 0, 2]))
            for name in self.sample(list(VALUES)[1:], self.randrange(4))
        ]
        inner = [self.criterion() for _ in range(self.choice([0, 1, 1, 2]))]
        where = AllOf((*pinned, *inner))
        order = Order(self.choice(SORTABLE), descending=self.random() < 0.5)
        return Question(collection="tasks", where=where, order=order, limit=self.choice([1, 3, 10, 1_000]))


class PlainMonty:
    """The same documents in MontyDB's own memory storage, asked through MontyDB alone."""

    def __init__(self) -> None:
        client = MontyClient(":memory:", tz_aware=True)
        self._tasks = client[f"plain_{uuid4().hex}"]["tasks"]

    def keep(self, record: Record) -> None:
        document = {"_id": record[ID], **record, TOKENS: TASKS.tokens(record)}
        del document[ID]
        self._tasks.delete_one({"_id": record[ID]})
        self._tasks.insert_one(document)

    def records(self, ids: list[str]) -> dict[str, Record]:
        documents = [dict(document) for document in self._tasks.find({"_id": {"$in": ids}}, {TOKENS: False})]
        return {document["_id"]: {ID: document.pop("_id"), **document} for document in documents}

    def ids(self, question: Question) -> list[str]:
        where = question.where
        if question.after is not None:
            where = AllOf((where, after_position(question.order, question.after)))
        field = "_id" if question.order.field == ID else question.order.field
        direction = -1 if question.order.descending else 1
        sort = [(field, direction)] if field == "_id" else [(field, direction), ("_id", direction)]
        found = self._tasks.find(filter_of(where)).sort(sort)
        return [document["_id"] for document in found]


@pytest.fixture
async def store() -> AsyncIterator[MontyRecordStore]:
    store = MontyRecordStore(None)
    await store.open()
    yield store
    await store.close()


@pytest.mark.parametrize("seed", TUNINGS)
async def test_random_questions_between_random_changes_are_answered_as_by_plain_montydb(seed: int) -> None:
    store = MontyRecordStore(None, tuning=TUNINGS[seed])
    await store.open()
    chance, plain = Chance(seed), PlainMonty()
    current: dict[int, Record] = {}
    for asked in range(QUESTIONS):
        if asked < RECORDS or asked % 4 == 0:
            await change_one(store, plain, chance=chance, current=current)
        await ask_both(store, plain, chance.question())
    assert len(current) == RECORDS
    await store.close()


@pytest.mark.parametrize("questions", [300, pytest.param(5_000, marks=pytest.mark.torture)])
async def test_random_questions_are_answered_as_by_plain_montydb(
    store: MontyRecordStore, questions: int
) -> None:
    chance, plain = Chance(questions), PlainMonty()
    current: dict[int, Record] = {}
    for _ in range(RECORDS):
        await change_one(store, plain, chance=chance, current=current)
    for _ in range(questions):
        await ask_both(store, plain, chance.question())


async def ask_both(store: MontyRecordStore, plain: PlainMonty, question: Question) -> None:
    """The page, the count and the page after it are the same."""
    expected = plain.ids(question)
    found = await store.find(question)
    assert [record[ID] for record in found] == expected[: question.limit], question
    assert await store.count("tasks", question.where) == len(expected), question
    if len(found) < question.limit:
        return
    position = (found[-1].get(question.order.field), found[-1][ID])
    following = replace(question, after=position)
    page = [record[ID] for record in await store.find(following)]
    assert page == expected[question.limit : 2 * question.limit], following


async def change_one(
    store: MontyRecordStore, plain: PlainMonty, *, chance: Chance, current: dict[int, Record]
) -> None:
    """A new record while there is room, then a next version of one; every answer of the store is as it was put."""
    number = len(current) if len(current) < RECORDS else chance.randrange(RECORDS)
    taken = {record["externalKey"] for other, record in current.items() if other != number}
    version = current[number][VERSION] + 1 if number in current else 1
    record = chance.record(number, version, taken)
    await store.commit(ChangeSet((put("tasks", record),)))
    current[number] = record
    plain.keep(record)
    wanted = [record[ID], numbered_id(chance.randrange(2 * RECORDS))]
    assert await store.fetch("tasks", wanted) == plain.records(wanted), wanted


async def test_a_plain_montydb_client_reads_the_file_beside_the_store(tmp_path: Path) -> None:
    store = MontyRecordStore(tmp_path)
    await store.open()
    await commit_all(store, "tasks", *(task(number, title=f"Täsk {number}") for number in range(5)))
    set_storage(str(tmp_path), storage="adapters.monty.storage", use_bson=True)
    client = MontyClient(str(tmp_path), tz_aware=True)
    tasks = client["tandem"]["tasks"]
    assert tasks.count_documents({}) == 5
    assert tasks.find_one({"_id": numbered_id(3)})["title"] == "Täsk 3"
    last_first = tasks.find({"title": {"$regex": "[34]"}}).sort("title", -1)
    assert [document["_id"] for document in last_first] == [numbered_id(4), numbered_id(3)]
    assert client.list_database_names() == ["tandem"]
    assert client["tandem"].list_collection_names() == sorted(SPECS)
    await commit_all(store, "tasks", task(5))
    assert tasks.count_documents({}) == 6
    await store.close()


async def test_a_plain_montydb_client_cannot_change_the_file(tmp_path: Path) -> None:
    store = MontyRecordStore(tmp_path)
    await store.open()
    await commit_all(store, "tasks", task(1))
    set_storage(str(tmp_path), storage="adapters.monty.storage", use_bson=True)
    client = MontyClient(str(tmp_path))
    tasks = client["tandem"]["tasks"]
    with pytest.raises(OperationFailure, match="only be changed through Tandem"):
        tasks.insert_one({"_id": numbered_id(2)})
    with pytest.raises(OperationFailure, match="only be changed through Tandem"):
        tasks.delete_one({"_id": numbered_id(1)})
    with pytest.raises(OperationFailure, match="cannot be dropped through MontyDB"):
        client.drop_database("tandem")
    assert await store.scan("tasks", after=None, limit=9) == [task(1)]
    await store.close()
