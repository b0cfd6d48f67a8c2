"""What is read equals what was put, to the last millisecond, sign and code point."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from adapters.records.change_set import ChangeSet
from adapters.records.criteria import Equals, IsNull, OneOf, Question, Range
from adapters.records.isolation import apply_each
from adapters.records.record import ID, Record
from adapters.records.record_store import RecordStore
from domain.errors import RuleBroken
from domain.storable import DEPTH_MAX, INTEGER_MAX, INTEGER_MIN
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    control,
    entry,
    everything,
    fetched,
    found_numbers,
    label,
    minutes,
    numbered_id,
    project,
    put,
    reason_of,
    same,
    task,
    timeline,
)

TEXTS = {
    "empty": "",
    "blank": "   ",
    "trailing space": "end ",
    "line ends": "a\r\nb\n\tc\r",
    "quotes": 'it\'s "quoted" \\ back\\slash',
    "placeholders": "%s %(a)s :name $1 {0} ?",
    "control": "\x01\x1f\x7f\x85",
    "decomposed": "cafe\u0301",
    "composed": "caf\u00e9",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈",
    "beyond the basic plane": "\U00010348\U0010fffd",
    "not a character": "\ufffe\uffff\ufeffx",
    "right to left": "שלום \u202eabc",
    "looks like JSON": '{"a": [1, null]}',
    "looks escaped": "\\u0000 \\x00 \\\\",
    "looks like a date": "2025-03-01T12:30:15.123Z",
    "looks like a number": "007",
    "long": "wörter und 🙂 " * 3_800,
}

INSTANTS = {
    "milliseconds": datetime(2025, 3, 1, 12, 30, 15, 999_000, tzinfo=UTC),
    "one millisecond": datetime(2025, 3, 1, 0, 0, 0, 1_000, tzinfo=UTC),
    "epoch": datetime(1970, 1, 1, tzinfo=UTC),
    "before the epoch": datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    "long before": datetime(1900, 2, 28, 1, 2, 3, 4_000, tzinfo=UTC),
    "first": datetime(1, 1, 1, tzinfo=UTC),
    "last": datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    "after 2038": datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    "leap day": datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
}


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for level in range(levels):
        value = {"in": value} if level % 2 else [value]
    return value


def _types_in(value: Any) -> set[type]:
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return {type(value)}.union(*map(_types_in, inner))


TREES: dict[str, Any] = {
    "scalars": {"none": None, "yes": True, "no": False, "one": 1, "zero": 0, "text": "x", "empty": ""},
    "empties": {"list": [], "object": {}, "text": "", "null": None, "lists": [[], [[]], {}]},
    "dots and dollars": {
        "a.b": 1,
        "a": {"b": 2},
        "$set": {"$gt": 3},
        "$": 4,
        ".": 5,
        "..": {"$.": 6},
        "x$y": 7,
    },
    "empty key": {"": 1, "deep": {"": {"": 2}}},
    "odd keys": {
        "é": 1,
        "e\u0301": 2,
        "🙂": 3,
        " ": 4,
        "a b": 5,
        "id": 6,
        "_id": 7,
        "version": 8,
        "\\": 9,
        '"': 10,
    },
    "tagged": {
        "$date": "2025-03-01T00:00:00Z",
        "$oid": numbered_id(1),
        "$numberLong": "5",
        "__type__": "set",
    },
    "booleans and numbers": {"list": [True, 1, False, 0, "1", "true"]},
    "integers": {"list": [INTEGER_MAX, INTEGER_MIN, 2**53 + 1, -(2**53) - 1, 2**31, -1, 0]},
    "floats": {"list": [0.1, -2.5, 1e-7, 123456.789, 5e-324, 1.7976931348623157e308, 1e22, -1e22]},
    "mixed list": {"list": [None, 1, "a", [2, ["b"]], {"c": [None, {}]}]},
    "repeats": {"list": ["b", "a", "b", "a", None, None]},
    "deep": {"deep": _deep(DEPTH_MAX - 2)},
    "wide": {f"key {number}": number for number in range(500)},
}


class TextContract:
    """Text, whatever is in it."""

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    async def test_text_is_kept_and_found(self, store: RecordStore, text: str) -> None:
        await commit_all(store, "tasks", task(1, description=text, extra=text, projectId=text[:200]))
        assert same(
            await fetched(store, "tasks", 1), task(1, description=text, extra=text, projectId=text[:200])
        )
        assert await found_numbers(store, "tasks", Equals("projectId", text[:200])) == [1]

    async def test_normal_forms_and_case_stay_apart(self, store: RecordStore) -> None:
        texts = ["caf\u00e9", "cafe\u0301", "CAF\u00c9", "caf\u00e9 "]
        await commit_all(store, "tasks", *(task(number, projectId=text) for number, text in enumerate(texts)))
        for number, text in enumerate(texts):
            assert await found_numbers(store, "tasks", Equals("projectId", text)) == [number]

    async def test_the_longest_texts_are_kept(self, store: RecordStore) -> None:
        name, description = "\U0001f9e1" * 200, "\U0001f9e1x" * 25_000
        await commit_all(store, "projects", project(1, name=name))
        await commit_all(store, "tasks", task(1, description=description))
        assert same(await fetched(store, "projects", 1), project(1, name=name))
        assert same(await fetched(store, "tasks", 1), task(1, description=description))


class ScalarContract:
    """Instants, integers, booleans and what is not there."""

    @pytest.mark.parametrize("instant", INSTANTS.values(), ids=INSTANTS)
    async def test_instants_come_back_aware_in_utc(self, store: RecordStore, instant: datetime) -> None:
        await commit_all(store, "tasks", task(1, dueAt=instant, importedAt=instant))
        stored = await fetched(store, "tasks", 1)
        assert same(stored, task(1, dueAt=instant, importedAt=instant))
        assert stored is not None
        assert stored["dueAt"].utcoffset() == timedelta(0)
        assert await found_numbers(store, "tasks", Equals("dueAt", instant)) == [1]

    @pytest.mark.parametrize("day", ["0001-01-01", "2026-02-28", "9999-12-31"])
    async def test_days_come_back_as_they_are_and_compare_by_date(self, store: RecordStore, day: str) -> None:
        await commit_all(store, "tasks", task(1, dueOn=day), task(2, dueOn=None), task(3, dueOn="2026-03-01"))
        assert same(await fetched(store, "tasks", 1), task(1, dueOn=day))
        expected = [1] if day < "2026-03-01" else []
        assert await found_numbers(store, "tasks", Range(field="dueOn", below="2026-03-01")) == expected
        assert await found_numbers(store, "tasks", Equals("dueOn", day)) == [1]
        assert await found_numbers(store, "tasks", OneOf("dueOn", (day, "2026-03-01"))) == [1, 3]
        assert await found_numbers(store, "tasks", IsNull("dueOn")) == [2]

    async def test_instants_of_other_zones_come_back_in_utc(self, store: RecordStore) -> None:
        elsewhere = minutes(0).astimezone(timezone(timedelta(hours=5, minutes=30)))
        await commit_all(store, "tasks", task(1, dueAt=elsewhere))
        stored = await fetched(store, "tasks", 1)
        assert stored is not None
        assert (stored["dueAt"], stored["dueAt"].utcoffset()) == (minutes(0), timedelta(0))
        assert await found_numbers(store, "tasks", Equals("dueAt", elsewhere)) == [1]

    @pytest.mark.parametrize("number", [INTEGER_MAX, INTEGER_MIN, 2**53 + 1, 2**31, -(2**31) - 1, -1, 0])
    async def test_integers_keep_every_digit(self, store: RecordStore, number: int) -> None:
        await commit_all(store, "tasks", task(1, displayId=number, rank=number))
        stored = await fetched(store, "tasks", 1)
        assert same(stored, task(1, displayId=number, rank=number))
        assert await found_numbers(store, "tasks", Equals("displayId", number)) == [1]

    async def test_booleans_are_no_numbers(self, store: RecordStore) -> None:
        await commit_all(
            store, "tasks", task(1, isAcknowledged=True, flags=[True, 1, False, 0], one=1, yes=True)
        )
        stored = await fetched(store, "tasks", 1)
        assert same(stored, task(1, isAcknowledged=True, flags=[True, 1, False, 0], one=1, yes=True))

    async def test_null_fields_come_back_as_null(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, unknown=None))
        stored = await fetched(store, "tasks", 1)
        assert stored is not None
        nulls = {name for name, value in task(1, unknown=None).items() if value is None}
        assert nulls <= stored.keys()
        assert all(stored[name] is None for name in nulls)

    async def test_missing_fields_are_not_invented(self, store: RecordStore) -> None:
        sparse = {name: value for name, value in task(1).items() if value is not None}
        await commit_all(store, "tasks", sparse)
        stored = await fetched(store, "tasks", 1)
        assert stored is not None
        assert {name: value for name, value in stored.items() if value is not None} == sparse
        assert stored.keys() <= task(1).keys()

    async def test_empty_and_null_stay_apart(self, store: RecordStore) -> None:
        states: dict[str, Any] = {"text": "", "list": [], "object": {}, "zero": 0, "no": False, "null": None}
        records = [
            task(number, description=description, labelIds=[], **states)
            for number, description in enumerate(("", None))
        ]
        await commit_all(store, "tasks", *records)
        for number, record in enumerate(records):
            assert same(await fetched(store, "tasks", number), record)


class TreeContract:
    """JSON values, nested."""

    async def test_values_come_back_as_plain_types(self, store: RecordStore) -> None:
        tree = {"list": [2**40, 1, 0.5, "x", True, None], "object": {"n": 2**40}}
        await commit_all(store, "tasks", task(1, displayId=2**40, dueAt=minutes(1), extra=tree))
        read = [*(await store.fetch("tasks", [numbered_id(1)])).values()]
        read += [
            *await store.find(Question(collection="tasks", limit=1)),
            *await store.scan("tasks", after=None, limit=1),
        ]
        plain = {type(None), bool, int, float, str, datetime, list, dict}
        assert len(read) == 3
        assert _types_in(read) <= plain

    @pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
    async def test_trees_are_kept(self, store: RecordStore, tree: dict[str, Any]) -> None:
        record = control("tree", tree)
        await store.commit(ChangeSet((put("control", record),)))
        assert same(await store.fetch("control", ["tree"]), {"tree": record})
        assert same(await store.scan("control", after=None, limit=2), [record])

    @pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
    async def test_trees_are_mirrored(self, store: RecordStore, tree: dict[str, Any]) -> None:
        change = put("tasks", task(1, extra=tree))
        changes = change_set(
            change, entries=[entry(change, changes={"extra": {"before": None, "after": tree}})]
        )
        assert await store.apply([changes]) == [None]
        assert same(await fetched(store, "tasks", 1), task(1, extra=tree))
        stored = await store.fetch("audit_logs", changes.entry_ids)
        assert same([one["changes"] for one in stored.values()], [changes.entries[0]["changes"]])

    async def test_a_whole_timeline_is_kept(self, store: RecordStore) -> None:
        await commit_all(store, "timelines", timeline(1))
        assert same(await fetched(store, "timelines", 1), timeline(1))

    async def test_unknown_fields_survive_update_and_mirror(self, store: RecordStore) -> None:
        extras: dict[str, Any] = {
            "legacyNote": "x",
            "legacyRank": 7,
            "legacyAt": minutes(3),
            "legacy": {"a": [None]},
        }
        await commit_all(store, "tasks", task(1, **extras))
        await store.commit(change_set(put("tasks", task(1, version=2, title="New", **extras))))
        assert same(await fetched(store, "tasks", 1), task(1, version=2, title="New", **extras))
        await store.apply([change_set(put("tasks", task(1, version=3, **extras)))])
        assert same(await fetched(store, "tasks", 1), task(1, version=3, **extras))
        assert same(await store.scan("tasks", after=None, limit=1), [task(1, version=3, **extras)])

    async def test_the_order_of_keys_means_nothing(self, store: RecordStore) -> None:
        record = task(1, extra={"b": 1, "a": {"d": 2, "c": 3}})
        backwards = dict(reversed(task(1, version=2, extra={"a": {"c": 3, "d": 2}, "b": 1}).items()))
        await commit_all(store, "tasks", record)
        await store.commit(change_set(put("tasks", backwards)))
        assert same(await fetched(store, "tasks", 1), {**record, "version": 2})


UNHOLDABLE: dict[str, Record] = {
    "NUL in text": task(1, title="a\x00b"),
    "NUL in a tree": task(1, extra={"a": ["\x00"]}),
    "NUL in a key": task(1, extra={"a\x00b": 1}),
    "half a surrogate pair": task(1, title="a\ud800"),
    "half a surrogate pair in a tree": task(1, extra=["\udfff"]),
    "beyond 63 bits": task(1, displayId=INTEGER_MAX + 1),
    "beyond 63 bits in a tree": task(1, extra={"n": [INTEGER_MIN - 1]}),
    "not a number": task(1, extra=[math.nan]),
    "infinite": task(1, extra={"n": -math.inf}),
    "too long for a key": task(1, externalKey="".join(chr(0x4E00 + n * 7 % 20_000) for n in range(20_000))),
}


class LimitContract:
    """What some store cannot hold is refused or kept, never altered."""

    @pytest.mark.parametrize("record", UNHOLDABLE.values(), ids=UNHOLDABLE)
    async def test_a_commit_refuses_or_keeps(self, store: RecordStore, record: Record) -> None:
        try:
            await store.commit(change_set(put("labels", label(2)), put("tasks", record)))
        except RuleBroken:
            nothing: dict[str, list[Record]] = {"tasks": [], "labels": [], "audit_logs": []}
            assert await everything(store, *nothing) == nothing
        else:
            assert same(await fetched(store, "tasks", 1), record)

    @pytest.mark.parametrize("record", UNHOLDABLE.values(), ids=UNHOLDABLE)
    async def test_a_mirror_refuses_or_keeps(self, store: RecordStore, record: Record) -> None:
        good, bad = (
            change_set(put("tasks", task(9))),
            change_set(put("labels", label(2)), put("tasks", record)),
        )
        first, outcome, last = await apply_each(store.apply, [good, bad, change_set(put("tasks", task(10)))])
        assert (first, last) == (None, None)
        assert await found_numbers(store, "tasks", Equals(ID, numbered_id(9))) == [9]
        if outcome is None:
            assert same(await fetched(store, "tasks", 1), record)
        else:
            assert reason_of(outcome).isprintable()
            assert await fetched(store, "tasks", 1) is None
            assert await fetched(store, "labels", 2) is None
