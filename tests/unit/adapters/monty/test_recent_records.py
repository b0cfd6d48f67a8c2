"""Records that were used lately: the same as their documents, nobody's to change, within bounds."""

from datetime import UTC, datetime
from typing import Any

from adapters.monty.document import encoded
from adapters.monty.recent_records import DOCUMENT_BYTES_MAX, KEPT_BYTES_MAX, RecentRecords
from adapters.records.record import Record

PLAN: dict[str, Any] = {"items": [{"id": "a", "after": ["b"]}]}
FULL = KEPT_BYTES_MAX // DOCUMENT_BYTES_MAX
"""How many of the largest documents fit."""


def task(id: str = "1", **more: Any) -> Record:
    return {"id": id, "version": 1, "labelIds": ["red"], "at": datetime(2026, 1, 1, tzinfo=UTC), **more}


def large(id: str, size: int = DOCUMENT_BYTES_MAX) -> bytes:
    """A task's document of exactly this size."""
    return encoded(task(id, text="a" * (size - len(encoded(task(id, text=""))))))


def kept(record: Record) -> RecentRecords:
    recent = RecentRecords()
    recent.keep("tasks", record["id"], encoded(record))
    return recent


def test_what_was_kept_is_found_under_its_collection_and_id_alone() -> None:
    recent = kept(task(plan=PLAN))
    assert recent.get("tasks", "1") == task(plan=PLAN)
    assert recent.get("tasks", "2") is None
    assert recent.get("labels", "1") is None


def test_whoever_gets_a_record_may_change_it() -> None:
    recent = kept(task(plan=PLAN))
    for _ in range(2):
        got = recent.get("tasks", "1")
        assert got == task(plan=PLAN)
        got["version"] = 2
        got["labelIds"].append("blue")
        got["plan"]["items"][0]["after"].clear()


def test_a_forgotten_record_is_asked_for_anew() -> None:
    recent = kept(task())
    recent.forget("tasks", "1")
    recent.forget("tasks", "1")
    assert recent.get("tasks", "1") is None


def test_the_next_state_takes_the_place_of_the_one_before() -> None:
    recent = kept(task())
    assert recent.get("tasks", "1") == task()
    recent.keep("tasks", "1", encoded(task(version=2)))
    assert recent.get("tasks", "1") == task(version=2)


def test_a_large_record_is_not_kept() -> None:
    recent = kept(task())
    recent.keep("tasks", "1", large("1"))
    assert recent.get("tasks", "1") is not None
    recent.keep("tasks", "1", large("1", DOCUMENT_BYTES_MAX + 1))
    assert recent.get("tasks", "1") is None


def test_what_was_used_longest_ago_makes_room() -> None:
    recent = RecentRecords()
    for number in range(FULL):
        recent.keep("tasks", str(number), large(str(number)))
    assert recent.get("tasks", "0") is not None
    recent.keep("tasks", "new", encoded(task("new")))
    assert recent.get("tasks", "1") is None
    assert recent.get("tasks", "0") is not None
    assert recent.get("tasks", "new") == task("new")


def test_replacing_a_record_again_and_again_takes_no_room() -> None:
    recent = kept(task("other"))
    for _ in range(2 * FULL):
        recent.keep("tasks", "1", large("1"))
        recent.forget("tasks", "1")
    recent.keep("tasks", "1", large("1"))
    recent.keep("tasks", "1", large("1"))
    assert recent.get("tasks", "other") == task("other")
