"""What every criterion means, nulls and missing fields included, and what `fetch` and `count` answer."""

from typing import Any

import pytest

from adapters.records.criteria import (
    EVERYTHING,
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    Holds,
    IsNull,
    NotNull,
    OneOf,
    Question,
    Range,
)
from adapters.records.record import Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from domain.storable import INTEGER_MAX, INTEGER_MIN
from domain.task import Priority, TaskStatus
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    everything,
    found_numbers,
    label,
    minutes,
    numbered_id,
    put,
    same,
    task,
    timeline,
)


def lacking(number: int, name: str) -> Record:
    """A task without this field."""
    record = task(number)
    del record[name]
    return record


class FetchContract:
    """Reading by id, and the life of a store."""

    async def test_only_existing_ids_are_fetched(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(3, isDeleted=True))
        found = await store.fetch("tasks", [numbered_id(number) for number in (1, 2, 3)])
        assert same(found, {numbered_id(1): task(1), numbered_id(3): task(3, isDeleted=True)})

    async def test_no_ids_fetch_nothing(self, store: RecordStore) -> None:
        assert await store.fetch("tasks", []) == {}

    async def test_an_id_asked_for_twice_is_fetched_once(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1))
        assert list(await store.fetch("tasks", [numbered_id(1)] * 3)) == [numbered_id(1)]

    async def test_as_many_ids_as_allowed_are_fetched(self, store: RecordStore) -> None:
        stored = range(0, FETCH_MAX, 5)
        await store.commit(change_set(*(put("timelines", timeline(number)) for number in stored)))
        found = await store.fetch("timelines", [numbered_id(number) for number in range(FETCH_MAX)])
        assert found.keys() == {numbered_id(number) for number in stored}

    async def test_several_collections_are_fetched_together(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(2))
        await commit_all(store, "labels", label(1))
        first, third = numbered_id(1), numbered_id(3)
        found = await store.gather(
            {"tasks": [first, third], "labels": [first], "projects": [first], "users": []}
        )
        assert same(
            found, {"tasks": {first: task(1)}, "labels": {first: label(1)}, "projects": {}, "users": {}}
        )

    async def test_nothing_together_is_nothing(self, store: RecordStore) -> None:
        assert await store.gather({}) == {}

    async def test_collections_are_apart(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1))
        assert await store.fetch("labels", [numbered_id(1)]) == {}
        assert await found_numbers(store, "projects") == []

    async def test_preparing_again_keeps_everything(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(2, externalKey="bd-2"))
        before = await everything(store, "tasks", "audit_logs")
        await store.prepare()
        assert await everything(store, "tasks", "audit_logs") == before

    async def test_an_open_store_answers(self, store: RecordStore) -> None:
        await store.ping()
        assert store.name

    async def test_closing_twice_is_harmless(self, store: RecordStore) -> None:
        await store.close()
        await store.close()


PROJECT_IDS: dict[int, Any] = {1: "a", 2: "A", 3: "b", 4: "", 5: None, 7: "a ", 8: "ab"}
"""In each of these tables with a null, the first task that is left out has no such field at all."""

BY_PROJECT: list[tuple[Criterion, list[int]]] = [
    (Equals("projectId", "a"), [1]),
    (Equals("projectId", ""), [4]),
    (Equals("projectId", "a%"), []),
    (IsNull("projectId"), [5, 6]),
    (NotNull("projectId"), [1, 2, 3, 4, 7, 8]),
    (OneOf("projectId", ()), []),
    (OneOf("projectId", ("a", "b", "zz")), [1, 3]),
    (OneOf("projectId", tuple(f"p{number}" for number in range(1_000))), []),
    (Range(field="projectId"), [1, 2, 3, 4, 7, 8]),
    (Range(field="projectId", above=""), [1, 2, 3, 7, 8]),
    (Range(field="projectId", at_least=""), [1, 2, 3, 4, 7, 8]),
    (Range(field="projectId", above="A", below="ab"), [1, 7]),
    (Range(field="projectId", at_least="A", at_most="a"), [1, 2]),
    (Range(field="projectId", below="a"), [2, 4]),
    (Range(field="projectId", above="a", at_least="ab"), [3, 8]),
    (Range(field="id", above=numbered_id(6)), [7, 8]),
    (Equals("id", numbered_id(2)), [2]),
    (OneOf("id", (numbered_id(2), numbered_id(99))), [2]),
    (EVERYTHING, [1, 2, 3, 4, 5, 6, 7, 8]),
    (AllOf((Equals("projectId", "a"), EVERYTHING)), [1]),
    (AllOf((Equals("projectId", "a"), Equals("projectId", "b"))), []),
    (AnyOf(()), []),
    (AllOf((EVERYTHING, AnyOf(()))), []),
    (AnyOf((AnyOf(()), Equals("projectId", "b"))), [3]),
    (AnyOf((Equals("projectId", "a"), IsNull("projectId"))), [1, 5, 6]),
    (
        AllOf(
            (
                NotNull("projectId"),
                AnyOf((Equals("projectId", "b"), Range(field="id", at_most=numbered_id(1)))),
            )
        ),
        [1, 3],
    ),
    (IsNull("isErased"), [1, 2, 3, 4, 5, 6, 7, 8]),
    (NotNull("isErased"), []),
]

ACKNOWLEDGED: dict[int, Any] = {1: True, 2: False}
BY_ACKNOWLEDGED: list[tuple[Criterion, list[int]]] = [
    (Equals("isAcknowledged", True), [1]),
    (Equals("isAcknowledged", False), [2]),
    (OneOf("isAcknowledged", (True, False)), [1, 2]),
    (IsNull("isAcknowledged"), []),
    (NotNull("isAcknowledged"), [1, 2]),
]

NUMBERS: dict[int, Any] = {1: 1, 2: 2, 3: INTEGER_MAX, 4: INTEGER_MIN, 5: None, 6: 0}
BY_NUMBER: list[tuple[Criterion, list[int]]] = [
    (Equals("displayId", 1), [1]),
    (Equals("displayId", Priority.MEDIUM), [2]),
    (Equals("displayId", INTEGER_MAX), [3]),
    (OneOf("displayId", (1, INTEGER_MIN)), [1, 4]),
    (IsNull("displayId"), [5, 7]),
    (Range(field="displayId", above=0), [1, 2, 3]),
    (Range(field="displayId", below=1), [4, 6]),
    (Range(field="displayId", at_least=1, at_most=2), [1, 2]),
    (Range(field="displayId", at_most=INTEGER_MIN), [4]),
    (Range(field="displayId", above=INTEGER_MAX - 1), [3]),
]

DUE: dict[int, Any] = {1: minutes(0), 2: minutes(1), 3: minutes(-1), 4: None}
BY_DUE: list[tuple[Criterion, list[int]]] = [
    (Equals("dueAt", minutes(1)), [2]),
    (OneOf("dueAt", (minutes(0), minutes(1))), [1, 2]),
    (IsNull("dueAt"), [4, 5]),
    (NotNull("dueAt"), [1, 2, 3]),
    (Range(field="dueAt", above=minutes(0)), [2]),
    (Range(field="dueAt", at_least=minutes(0)), [1, 2]),
    (Range(field="dueAt", below=minutes(0)), [3]),
    (Range(field="dueAt", at_most=minutes(0)), [1, 3]),
    (Range(field="dueAt", at_least=minutes(-1), below=minutes(1)), [1, 3]),
]

LABELLED: dict[int, Any] = {1: ["a", "b"], 2: ["b"], 3: [], 5: ["ab"], 6: ["B", "x,y", 'q"t']}
BY_LABEL: list[tuple[Criterion, list[int]]] = [
    (Holds("labelIds", "b"), [1, 2]),
    (Holds("labelIds", "ab"), [5]),
    (Holds("labelIds", "B"), [6]),
    (Holds("labelIds", "x,y"), [6]),
    (Holds("labelIds", 'q"t'), [6]),
    (Holds("labelIds", ""), []),
    (Holds("labelIds", "none"), []),
    (AllOf((Holds("labelIds", "a"), Holds("labelIds", "b"))), [1]),
    (AnyOf((Holds("labelIds", "a"), Holds("labelIds", "x,y"))), [1, 6]),
]


async def _filled(store: RecordStore, name: str, values: dict[int, Any]) -> None:
    records = [task(number, **{name: value}) for number, value in values.items()]
    if None in values.values():
        records.append(lacking(next(number for number in range(1, 99) if number not in values), name))
    await commit_all(store, "tasks", *records)


class CriteriaContract:
    """Each operator over text, integers, booleans, instants and lists."""

    async def test_text_questions(self, store: RecordStore) -> None:
        await _filled(store, "projectId", PROJECT_IDS)
        await _check(store, BY_PROJECT)

    async def test_boolean_questions(self, store: RecordStore) -> None:
        await _filled(store, "isAcknowledged", ACKNOWLEDGED)
        await _check(store, BY_ACKNOWLEDGED)

    async def test_integer_questions(self, store: RecordStore) -> None:
        await _filled(store, "displayId", NUMBERS)
        await _check(store, BY_NUMBER)

    async def test_instant_questions(self, store: RecordStore) -> None:
        await _filled(store, "dueAt", DUE)
        await _check(store, BY_DUE)

    async def test_list_questions(self, store: RecordStore) -> None:
        await _filled(store, "labelIds", LABELLED)
        await _check(store, BY_LABEL)

    async def test_enumerations_are_asked_for_by_their_value(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, status="DONE"), task(2, status="IN_PROGRESS"))
        in_progress = OneOf("status", (TaskStatus.BLOCKED, TaskStatus.IN_PROGRESS))
        await _check(store, [(Equals("status", TaskStatus.DONE), [1]), (in_progress, [2])])

    async def test_the_trash_is_apart(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(2, isDeleted=True))
        await _check(store, [(Equals("isDeleted", False), [1]), (Equals("isDeleted", True), [2])])

    async def test_answers_follow_an_update(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, projectId="a", labelIds=["x"]))
        await store.commit(change_set(put("tasks", task(1, version=2, projectId="b", labelIds=["y"]))))
        await _check(store, [(Equals("projectId", "a"), []), (Equals("projectId", "b"), [1])])
        await _check(store, [(Holds("labelIds", "x"), []), (Holds("labelIds", "y"), [1])])

    @pytest.mark.parametrize("limit", [0, 1, 2, 3, 4])
    async def test_at_most_the_limit_is_found(self, store: RecordStore, limit: int) -> None:
        await commit_all(store, "tasks", task(1), task(2), task(3))
        records = await store.find(Question(collection="tasks", limit=limit))
        assert same(records, [task(1), task(2), task(3)][:limit])


async def _check(store: RecordStore, expectations: list[tuple[Criterion, list[int]]]) -> None:
    answers = [(criterion, await found_numbers(store, "tasks", criterion)) for criterion, _ in expectations]
    assert answers == expectations
