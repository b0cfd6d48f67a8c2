"""Old records are read in today's form, the same in every store, and today's are left alone."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from adapters.records.record import CorruptRecord, Record, instant_text, tombstone
from adapters.records.specs import ALL_SPECS, LABELS, SPECS, TASK_ASSIGNMENTS, TASKS, USERS, WATCHLISTS
from domain.label import DEFAULT_COLOR
from domain.task import Priority, TaskStatus
from tests.unit.contracts.builders import (
    OWNER,
    control,
    entry,
    label,
    minutes,
    numbered_id,
    project,
    put,
    task,
    timeline,
    user,
)

TODAYS: dict[str, Record] = {
    "tasks": task(1, someday="kept", labelIds=[numbered_id(2)]),
    "labels": label(1),
    "projects": project(1),
    "timelines": timeline(1),
    "users": user(1),
    "audit_logs": entry(put("tasks", task(1))),
    "control": control("lease", {"fence": 1}),
}


def lacking(record: Record, *names: str) -> Record:
    """The record without these fields."""
    return {name: value for name, value in record.items() if name not in names}


@pytest.mark.parametrize("collection", TODAYS)
def test_a_record_of_today_is_the_same_object_and_fits(collection: str) -> None:
    record = TODAYS[collection]
    assert SPECS[collection].upgraded(record) is record
    assert SPECS[collection].schema.fits(record)


@pytest.mark.parametrize("spec", ALL_SPECS, ids=lambda spec: spec.collection)
def test_a_tombstone_is_left_alone(spec: Any) -> None:
    left = tombstone(numbered_id(1), 7)
    assert spec.upgraded(left) is left
    assert spec.schema.fits(left)


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("priority", "HIGH", 1),
        ("priority", "low", 3),
        ("priority", "2", 2),
        ("priority", 3.0, 3),
        ("displayId", "#41", 41),
        ("displayId", " 41 ", 41),
        ("status", "done", "DONE"),
        ("status", "in-progress", "IN_PROGRESS"),
        ("status", "In progress", "IN_PROGRESS"),
        ("isAcknowledged", 1, True),
        ("isAcknowledged", 0, False),
        ("startedAt", datetime(2024, 5, 6, 7, 8), datetime(2024, 5, 6, 7, 8, tzinfo=UTC)),  # noqa: DTZ001
        ("startedAt", "2024-05-06T07:08:09.123456Z", datetime(2024, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)),
        ("startedAt", "2024-05-06T07:08:09+02:00", datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)),
        ("startedAt", "2024-05-06", datetime(2024, 5, 6, tzinfo=UTC)),
    ],
)
def test_a_value_of_another_kind_is_converted(field: str, before: Any, after: Any) -> None:
    upgraded = TASKS.upgraded(task(1) | {field: before})
    assert upgraded == task(1) | {field: after}
    assert type(upgraded[field]) is type(after)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", "soon"),
        ("priority", 9),
        ("priority", True),
        ("priority", 1.5),
        ("displayId", "#"),
        ("displayId", "twelve"),
        ("displayId", "١٢"),
        ("status", "someday"),
        ("isAcknowledged", 2),
        ("dueAt", "tomorrow"),
        ("dueAt", 1_714_978_000),
        ("title", 5),
    ],
)
def test_a_value_without_a_clear_meaning_is_not_guessed(field: str, value: Any) -> None:
    record = task(1) | {field: value}
    upgraded = TASKS.upgraded(record)
    assert upgraded is record
    assert not TASKS.schema.fits(upgraded)
    with pytest.raises(CorruptRecord, match="Task"):
        TASKS.entity(record)


def test_missing_fields_take_the_entity_s_defaults() -> None:
    names = ("status", "priority", "labelIds", "isAcknowledged", "isDeleted", "version", "color")
    old = TASKS.entity(lacking(task(1), *names))
    assert (old.status, old.priority, old.label_ids) == (TaskStatus.TODO, Priority.MEDIUM, ())
    assert (old.is_acknowledged, old.is_deleted, old.version) == (False, False, 1)
    assert LABELS.upgraded(lacking(label(1), "color")) == label(1, color=DEFAULT_COLOR)


def test_every_record_gets_defaults_of_its_own() -> None:
    first, second = (TASKS.upgraded(lacking(task(number), "labelIds")) for number in (1, 2))
    first["labelIds"].append("spoiled")
    assert second["labelIds"] == []
    assert TASKS.upgraded(lacking(task(3), "labelIds"))["labelIds"] == []


def test_stamps_stand_in_for_each_other() -> None:
    assert TASKS.upgraded(lacking(task(1), "ownerId", "updatedAt", "updatedBy")) == task(1)
    other = numbered_id(0xBB)
    mine = lacking(task(1, updatedBy=other), "createdBy", "ownerId")
    assert LABELS.upgraded(lacking(label(1), "updatedBy"))["updatedBy"] == OWNER
    assert TASKS.upgraded(mine)["ownerId"] == TASKS.upgraded(mine)["createdBy"]


def test_a_record_without_any_stamp_is_as_old_as_its_id() -> None:
    record_id = f"{int(minutes(0).timestamp()):08x}" + "0" * 16
    stamps = ("createdAt", "createdBy", "updatedAt", "updatedBy", "ownerId")
    upgraded = TASKS.upgraded({**lacking(task(1), *stamps), "id": record_id})
    assert upgraded["createdAt"] == upgraded["updatedAt"] == minutes(0).replace(microsecond=0)
    assert TASKS.schema.fits(upgraded)


@pytest.mark.parametrize(
    ("spec", "old", "new"),
    [
        (TASKS, "due_at", "dueAt"),
        (TASKS, "label_ids", "labelIds"),
        (TASKS, "labels", "labelIds"),
        (TASKS, "project_id", "projectId"),
        (USERS, "email_id", "email"),
        (USERS, "emailId", "email"),
    ],
)
def test_a_legacy_name_is_replaced_by_today_s(spec: Any, old: str, new: str) -> None:
    record = {
        "tasks": task(1, dueAt=minutes(3), dueBy=minutes(3), projectId=OWNER, labelIds=["x"]),
        "users": user(1),
    }[spec.collection]
    before = {**lacking(record, new), old: record[new]}
    assert spec.upgraded(before) == record
    assert spec.upgraded({**before, new: None}) == record


def test_a_value_under_today_s_name_wins_and_the_legacy_one_stays() -> None:
    record = task(1, dueAt=minutes(1), due_at=minutes(2))
    assert TASKS.upgraded(record) is record


def test_a_legacy_field_that_holds_more_stays_beside_today_s() -> None:
    details = {"deferredTill": minutes(5), "deferredBy": OWNER}
    upgraded = TASKS.upgraded(task(1, deferredDetails=details))
    assert upgraded["deferredTill"] == minutes(5)
    assert upgraded["deferredDetails"] == {**details, "deferredTill": instant_text(minutes(5))}
    assert TASKS.upgraded(upgraded) is upgraded


def test_legacy_details_without_a_value_make_no_old_record() -> None:
    record = task(1, deferredDetails={"deferredBy": OWNER})
    assert TASKS.upgraded(record) is record


def test_a_record_that_is_not_active_is_in_the_trash() -> None:
    watch: Record = {
        "_": "kept",
        "id": numbered_id(1),
        "userId": OWNER,
        "taskId": numbered_id(2),
        "createdAt": minutes(0),
        "createdBy": OWNER,
    }
    assert WATCHLISTS.entity({**watch, "isActive": False}).is_deleted
    assert not WATCHLISTS.entity({**watch, "isActive": True}).is_deleted
    assert not WATCHLISTS.entity(watch).is_deleted


def test_an_assignment_with_snake_case_names_is_read() -> None:
    assignment = TASK_ASSIGNMENTS.entity(
        {
            "id": numbered_id(1),
            "task_id": numbered_id(2),
            "assignee_id": OWNER,
            "user_type": "team",
            "is_active": True,
            "created_at": minutes(0).replace(tzinfo=None),
            "created_by": OWNER,
        }
    )
    assert (assignment.task_id, assignment.assignee_type, assignment.is_deleted) == (
        numbered_id(2),
        "TEAM",
        False,
    )
    assert assignment.created_at == minutes(0)


def test_upgrading_is_idempotent_and_keeps_the_version() -> None:
    old = {**lacking(task(1, version=7, status="done"), "labelIds", "ownerId"), "labels": ["x"]}
    once = TASKS.upgraded(old)
    assert TASKS.upgraded(once) is once
    assert once["version"] == 7
    assert "labels" in old


def test_instants_in_other_zones_are_current() -> None:
    record = task(1, dueAt=minutes(0).astimezone(timezone(timedelta(hours=3))))
    assert TASKS.upgraded(record) is record
