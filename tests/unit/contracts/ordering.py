"""Order, keyset pages and scans: the same in every store, complete while records arrive."""

from typing import Any

import pytest

from adapters.records.criteria import (
    EVERYTHING,
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    OneOf,
    Order,
    Question,
    after_position,
)
from adapters.records.record import ID, Record
from adapters.records.record_store import RecordStore
from domain.storable import INTEGER_MAX, INTEGER_MIN
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    erasure,
    found_numbers,
    label,
    minutes,
    numbered_id,
    task,
)

MISSING = object()

TEXTS: list[Any] = [
    MISSING,
    None,
    "",
    " ",
    "!",
    "10",
    "9",
    "A",
    "AB",
    "Z",
    "_",
    "a",
    "a ",
    "a b",
    "aB",
    "ab",
    "b",
    "z",
    "\u00c4",
    "\u00e9",
    "\u0301",
    "\u6f22",
    "\uff5e",
    "\ufffd",
    "\U0001f600",
    "\U0010fffd",
]
"""In order of their code points: the last two sort before U+FF5E where text is compared as UTF-16."""

INTEGERS: list[Any] = [
    MISSING,
    None,
    INTEGER_MIN,
    -(2**31) - 1,
    -1,
    0,
    1,
    2,
    10,
    2**31,
    2**53 + 1,
    2**53 + 2,
    INTEGER_MAX,
]

INSTANTS: list[Any] = [
    MISSING,
    None,
    minutes(-60 * 24 * 365 * 60),
    minutes(-0.001 / 60),
    minutes(0),
    minutes(0.001 / 60),
    minutes(1),
    minutes(60 * 24 * 365 * 900),
]

KINDS = {"text": ("externalKey", TEXTS), "integer": ("displayId", INTEGERS), "instant": ("dueAt", INSTANTS)}


def holding(number: int, name: str, value: Any) -> Record:
    """A task with this value, or without the field."""
    record = task(number, **{name: value})
    if value is MISSING:
        del record[name]
    return record


def _shuffled(values: list[Any]) -> list[tuple[int, Any]]:
    """The values numbered in their order, handed over in another."""
    numbered = list(enumerate(values, start=1))
    return [*numbered[1::2], *reversed(numbered[::2])]


class OrderContract:
    """Sorting, with nulls first ascending and last descending, and the id as the last word."""

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    @pytest.mark.parametrize("kind", KINDS)
    async def test_values_sort_alike_in_every_store(
        self, store: RecordStore, kind: str, descending: bool
    ) -> None:
        name, values = KINDS[kind]
        await commit_all(
            store, "tasks", *(holding(number, name, value) for number, value in _shuffled(values))
        )
        numbers = list(range(1, len(values) + 1))
        found = await found_numbers(store, "tasks", order=Order(name, descending))
        assert found == (numbers[::-1] if descending else numbers)

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    @pytest.mark.parametrize("kind", KINDS)
    async def test_ranges_agree_with_the_order(self, store: RecordStore, kind: str, descending: bool) -> None:
        name, values = KINDS[kind]
        await commit_all(
            store, "tasks", *(holding(number, name, value) for number, value in _shuffled(values))
        )
        order = Order(name, descending)
        numbers = await found_numbers(store, "tasks", order=order)
        for index, number in enumerate(numbers):
            value = None if values[number - 1] is MISSING else values[number - 1]
            rest = after_position(order, (value, numbered_id(number)))
            assert await found_numbers(store, "tasks", rest, order=order) == numbers[index + 1 :]

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    async def test_the_id_breaks_ties(self, store: RecordStore, descending: bool) -> None:
        await commit_all(
            store, "tasks", *(task(number, priority=1 + number % 2) for number in (5, 2, 4, 1, 3))
        )
        found = await found_numbers(store, "tasks", order=Order("priority", descending))
        assert found == ([5, 3, 1, 4, 2] if descending else [2, 4, 1, 3, 5])

    async def test_without_an_order_the_id_decides(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(3), task(1), task(2))
        assert await found_numbers(store, "tasks") == [1, 2, 3]
        assert await found_numbers(store, "tasks", order=Order(ID, descending=True)) == [3, 2, 1]


class PageContract:
    """Keyset pages over what is there from beginning to end."""

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    @pytest.mark.parametrize("name", ["createdAt", "dueAt", "externalKey", "priority", "id"])
    async def test_pages_are_complete_without_repeats_while_records_arrive(
        self, store: RecordStore, name: str, descending: bool
    ) -> None:
        values: dict[str, Any] = {}
        numbers = range(100, 125)
        for number in numbers:
            values = {
                "createdAt": minutes(number // 4),
                "dueAt": None if number % 3 else minutes(number % 5),
                "externalKey": None if number % 4 == 0 else f"key {number % 7} {number}",
                "priority": 1 + number % 3,
            }
            await commit_all(store, "tasks", task(number, **values))
        order, seen, after, page = Order(name, descending), list[int](), None, 0
        while records := await store.find(Question(collection="tasks", order=order, after=after, limit=4)):
            seen.extend(int(record[ID], 16) for record in records)
            after = (records[-1].get(name), records[-1][ID])
            page += 1
            if page <= 5:
                await commit_all(
                    store, "tasks", task(page, dueAt=minutes(2)), task(1_000 + page, priority=1 + page % 3)
                )
        assert len(seen) == len(set(seen))
        assert set(numbers) <= set(seen)

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    async def test_pages_keep_to_the_question(self, store: RecordStore, descending: bool) -> None:
        await commit_all(
            store,
            "tasks",
            *(
                task(number, projectId="p" if number % 2 else "q", createdAt=minutes(number // 6))
                for number in range(24)
            ),
        )
        where = AllOf((Equals("projectId", "p"), Equals("isDeleted", False)))
        seen = [
            int(record[ID], 16) for record in await _all_pages(store, where, Order("createdAt", descending))
        ]
        expected = list(range(1, 24, 2))
        assert seen == (expected[::-1] if descending else expected)

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    @pytest.mark.parametrize("name", ["createdAt", "updatedAt", "dueAt", "priority"])
    async def test_pages_for_an_audience_show_each_record_once(
        self, store: RecordStore, name: str, descending: bool
    ) -> None:
        """Whoever is owner, assignee and executor at once, or in a team that is two of them, sees a task once."""
        records = [task(number, **_roles(number)) for number in range(60)]
        await commit_all(store, "tasks", *records)
        seen_by = (
            Equals("ownerId", "me"),
            OneOf("teamId", ("t1", "t2")),
            OneOf("assigneeId", ("me", "t1", "t2")),
            Equals("executorId", "me"),
        )
        where = AllOf((Equals("isDeleted", False), AnyOf(seen_by)))
        found = await _all_pages(store, where, Order(name, descending))
        visible = [record for record in records if not record["isDeleted"] and _is_visible(record)]
        assert 20 < len(visible) < 50
        visible.sort(
            key=lambda one: (one[name] is not None, one[name] or minutes(0), one[ID]), reverse=descending
        )
        assert [record[ID] for record in found] == [record[ID] for record in visible]
        assert await store.count("tasks", where) == len(visible)

    async def test_a_position_needs_no_record(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", *(task(number, createdAt=minutes(number)) for number in range(1, 6)))
        gone = (minutes(2.5), numbered_id(999))
        question = Question(collection="tasks", order=Order("createdAt"), after=gone, limit=9)
        assert [record[ID] for record in await store.find(question)] == [numbered_id(n) for n in (3, 4, 5)]


def _roles(number: int) -> dict[str, Any]:
    """What a task has of what makes it visible: nothing, something, or several at once."""
    return {
        "ownerId": "me" if number % 3 == 0 else "other",
        "teamId": (None, "t1", "t3", "t2")[number % 4],
        "assigneeId": ("me", "t1", None, "other", "t4")[number % 5],
        "executorId": "me" if number % 7 == 0 else None,
        "isDeleted": number % 11 == 0,
        "createdAt": minutes(number // 8),
        "updatedAt": minutes(-number // 4),
        "dueAt": minutes(number % 6) if number % 2 else None,
        "priority": 1 + number % 3,
    }


def _is_visible(record: Record) -> bool:
    is_own = record["ownerId"] == "me" or record["executorId"] == "me"
    return is_own or record["teamId"] in ("t1", "t2") or record["assigneeId"] in ("me", "t1", "t2")


async def _all_pages(store: RecordStore, where: Criterion, order: Order) -> list[Record]:
    found: list[Record] = []
    after = None
    while page := await store.find(
        Question(collection="tasks", where=where, order=order, after=after, limit=5)
    ):
        found.extend(page)
        after = (page[-1][order.field], page[-1][ID])
    return found


class ScanContract:
    """Reading everything by id."""

    async def test_a_scan_passes_over_everything_by_id(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", *(task(number) for number in (7, 3, 5, 1, 9)))
        await commit_all(store, "tasks", task(4, isDeleted=True))
        await store.commit(change_set(erasure("tasks", 5, version=2)))
        assert await _scanned(store, limit=2) == [1, 3, 4, 5, 7, 9]
        assert await _scanned(store, limit=2) == await _scanned(store, limit=5_000)

    async def test_a_scan_starts_above_its_position(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(2), task(4))
        for after, expected in ((1, [2, 4]), (3, [4]), (4, [])):
            records = await store.scan("tasks", after=numbered_id(after), limit=9)
            assert [int(record[ID], 16) for record in records] == expected

    async def test_a_scan_is_complete_while_records_arrive(self, store: RecordStore) -> None:
        await commit_all(store, "labels", *(label(number) for number in range(10, 30, 2)))
        seen: list[int] = []
        after = None
        while records := await store.scan("labels", after=after, limit=3):
            seen.extend(int(record[ID], 16) for record in records)
            after = records[-1][ID]
            if len(seen) <= 9:
                await commit_all(store, "labels", label(len(seen)), label(seen[-1] + 1))
        assert seen == sorted(set(seen))
        assert set(range(10, 30, 2)) <= set(seen)

    async def test_a_question_without_criteria_sees_the_trash(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1), task(2, isDeleted=True))
        assert await found_numbers(store, "tasks", EVERYTHING) == [1, 2]


async def _scanned(store: RecordStore, *, limit: int) -> list[int]:
    numbers: list[int] = []
    after = None
    while records := await store.scan("tasks", after=after, limit=limit):
        numbers.extend(int(record[ID], 16) for record in records)
        after = records[-1][ID]
    return numbers
