"""Records that were used lately: the same as their documents, nobody's to change, within bounds."""

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest

from adapters.monty.recent_records import KEPT_BYTES_MAX, RECORD_BYTES_MAX, RecentRecords
from adapters.records.record import Record

PLAN: dict[str, Any] = {"items": [{"id": "a", "after": ["b"]}]}


def task(**more: Any) -> Record:
    return {"id": "1", "version": 1, "labelIds": ["red"], "at": datetime(2026, 1, 1, tzinfo=UTC), **more}


def kept(record: Record, size: int = 100) -> RecentRecords:
    recent = RecentRecords()
    recent.keep("tasks", record["id"], record, size=size)
    return recent


def test_what_was_kept_is_found_under_its_collection_and_id_alone() -> None:
    recent = kept(task(plan=PLAN))
    assert recent.get("tasks", "1") == task(plan=PLAN)
    assert recent.get("tasks", "2") is None
    assert recent.get("labels", "1") is None


def test_whoever_gets_a_record_may_change_it() -> None:
    recent = kept(task(plan=PLAN))
    got = recent.get("tasks", "1")
    assert got is not None
    got["version"] = 2
    got["labelIds"].append("blue")
    got["plan"]["items"][0]["after"].clear()
    assert recent.get("tasks", "1") == task(plan=PLAN)


def test_whoever_gave_a_record_may_change_it() -> None:
    given = task(plan={"items": [{"id": "a"}]})
    recent = kept(given)
    given["labelIds"].append("blue")
    given["plan"]["items"][0]["id"] = "b"
    assert recent.get("tasks", "1") == task(plan={"items": [{"id": "a"}]})


def test_a_forgotten_record_is_asked_for_anew() -> None:
    recent = kept(task())
    recent.forget("tasks", "1")
    recent.forget("tasks", "1")
    assert recent.get("tasks", "1") is None


def test_the_next_state_takes_the_place_of_the_one_before() -> None:
    recent = kept(task())
    recent.keep("tasks", "1", task(version=2), size=100)
    assert recent.get("tasks", "1") == task(version=2)


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        ("red",),
        Colour.RED,
        ["red", ("blue",)],
        {"a": {1: "b"}},
    ],
    ids=["another zone", "a tuple", "a member of an enumeration", "a tuple within", "a number as a name"],
)
def test_a_record_that_its_document_would_not_give_back_exactly_is_not_kept(value: object) -> None:
    recent = kept(task())
    recent.keep("tasks", "1", task(version=2, value=value), size=100)
    assert recent.get("tasks", "1") is None


def test_a_large_record_is_not_kept() -> None:
    assert kept(task(), size=RECORD_BYTES_MAX).get("tasks", "1") == task()
    assert kept(task(), size=RECORD_BYTES_MAX + 1).get("tasks", "1") is None


def test_what_was_used_longest_ago_makes_room() -> None:
    recent = RecentRecords()
    many = KEPT_BYTES_MAX // RECORD_BYTES_MAX
    for number in range(many):
        recent.keep("tasks", str(number), task(id=str(number)), size=RECORD_BYTES_MAX)
    assert recent.get("tasks", "0") is not None
    recent.keep("tasks", "new", task(id="new"), size=1)
    assert recent.get("tasks", "0") is not None
    assert recent.get("tasks", "1") is None
    assert recent.get("tasks", "new") is not None


def test_replacing_a_record_again_and_again_takes_no_room() -> None:
    recent = kept(task(id="other"))
    recent.keep("tasks", "other", task(id="other"), size=100)
    for version in range(2 * KEPT_BYTES_MAX // RECORD_BYTES_MAX):
        recent.keep("tasks", "1", task(version=version), size=RECORD_BYTES_MAX)
    assert recent.get("tasks", "other") is not None
