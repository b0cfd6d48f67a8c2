"""What the documents of another service become."""

from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from bson.regex import Regex

from adapters.adoption.plan import plan_of
from adapters.adoption.teams import ADMIN_ROLE_ID
from adapters.mongo.original_documents import original_of
from application.actor import SYSTEM_ID
from domain.role import RoleScope, built_in_id
from domain.team import MEMBER_ROLE_ID, OWNER_ROLE_ID, membership_id
from domain.watch import watch_id
from tests.unit.adapters.adoption.originals import AT, finding, kept, live, planned, record
from tools.todo_database import duplicates, malformed, sample
from tools.todo_documents import at, label_id, task_id, team_id, user_id

MADE_AT = at(1)
ID = ObjectId("65e58d900000000400000777")


def of_task(**fields: Any) -> dict[str, Any]:
    """The record of one task with these fields."""
    document = {"_id": ID, "title": "Dig", "createdBy": str(user_id(0)), "createdAt": MADE_AT, **fields}
    return record(planned({"tasks": [document]}), "tasks", ID)


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (1, 1),
        (2, 2),
        (3, 3),
        (1.0, 1),
        ("HIGH", 1),
        ("low", 3),
        ("2", 2),
        (None, 2),
        (7, 2),
        (["HIGH"], 2),
    ],
)
def test_priorities_are_read_by_rank_and_by_name(stored: object, read: int) -> None:
    assert of_task(priority=stored)["priority"] == read


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("TODO", "TODO"),
        ("in progress", "IN_PROGRESS"),
        ("IN-PROGRESS", "IN_PROGRESS"),
        ("done", "DONE"),
        ("DEFERRED", "TODO"),
        ("hooked", "TODO"),
        (None, "TODO"),
    ],
)
def test_statuses_are_read_in_any_spelling(stored: object, read: str) -> None:
    assert of_task(status=stored)["status"] == read


@pytest.mark.parametrize("stored", [7, "whenever", ["HIGH"], {"rank": 1}, Decimal128("1")])
def test_a_value_that_cannot_be_used_is_kept_and_named(stored: object) -> None:
    document = {"_id": ID, "title": "Dig", "createdBy": user_id(0), "priority": stored}
    plan = planned({"tasks": [document]})

    assert kept(record(plan, "tasks", ID)) == {"priority": stored}
    assert finding(plan, "value_replaced", "tasks").samples == (str(ID),)


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (MADE_AT, MADE_AT),
        ("2024-02-01T10:00:00+02:00", datetime(2024, 2, 1, 8, tzinfo=UTC)),
        ("2024-02-01T10:00:00", datetime(2024, 2, 1, 10, tzinfo=UTC)),
        ("2024-02-01T10:00:00.123456Z", datetime(2024, 2, 1, 10, 0, 0, 123_000, tzinfo=UTC)),
        ("soon", None),
        (17, None),
        ({"day": 1}, None),
        (None, None),
    ],
)
def test_instants_are_read_as_dates_and_as_text(stored: object, read: datetime | None) -> None:
    assert of_task(dueAt=stored)["dueAt"] == read
    assert of_task(due_at=stored)["dueAt"] == read


@pytest.mark.parametrize(
    ("stored", "read"),
    [("#12", 12), (12, 12), ("12", 12), (12.0, 12), ("twelve", 1), (None, 1), (2**40, 2**40)],
)
def test_display_numbers_are_read_with_and_without_their_sign(stored: object, read: int) -> None:
    assert of_task(displayId=stored)["displayId"] == read


@pytest.mark.parametrize("stored", [0, -5, "#-5", 2**63 - 1, 2**60, 1e300, float("nan")])
def test_a_number_that_no_task_can_have_is_replaced_and_kept(stored: object) -> None:
    task = of_task(displayId=stored)

    assert task["displayId"] == 1
    assert repr(kept(task)["displayId"]) == repr(stored)


def test_an_id_that_exists_twice_loses_neither_document() -> None:
    double = {"_id": str(task_id(0)), "title": "The same digits as text"}
    plan = planned(sample(), {"tasks": [double]})

    assert record(plan, "tasks", task_id(0))["title"] == sample()["tasks"][0]["title"]
    assert [(one.id, "as text" in one.raw) for one in plan.set_aside] == [(str(task_id(0)), True)]


def test_a_damaged_document_is_kept_byte_by_byte() -> None:
    data = bson.encode({"_id": ID, "title": "Dig"}).replace(b"Dig", b"D\xffg")
    plan = plan_of({"tasks": [original_of("tasks", data)]}, at=AT)

    ((one,), count) = plan.set_aside, plan.documents["tasks"]
    assert (one.collection, one.id, b64decode(one.raw)) == ("tasks", str(ID), data)
    assert (count.documents, count.adopted, count.quarantined) == (1, 0, 1)


@pytest.mark.parametrize("milliseconds", [253_402_300_800_000, -62_135_596_800_001, 2**62])
def test_an_instant_beyond_the_calendar_is_kept_as_it_is(milliseconds: int) -> None:
    task = of_task(dueAt=DatetimeMS(milliseconds))

    assert task["dueAt"] is None
    assert str(milliseconds) in task["original"][0]["fields"]


def test_counters_are_found_by_their_id_or_name() -> None:
    counters = [{"_id": ObjectId("65e58d900000000b00000001"), "name": "tasks", "value": 77}]
    assert planned({"tasks": [], "counters": counters}).highest_number == 77


def test_fields_without_a_place_are_kept_with_their_types() -> None:
    odd = {
        "estimate": Decimal128("2.50"),
        "thumbnail": Binary(b"\x00\xff", 128),
        "zero": -0.0,
        "pattern": Regex("^a", "i"),
        "nested": {"at": MADE_AT, "by": [ObjectId("65e58d900000000400000001")], "$odd.name": None},
        "text": "with \0 and \u202e",
        "wide": 2**60,
    }
    assert kept(of_task(**odd)) == odd


def test_the_deferral_is_read_and_its_details_are_kept() -> None:
    details = {"deferredAt": MADE_AT, "deferredTill": at(90), "deferredBy": str(user_id(0))}
    task = of_task(deferredDetails=details)

    assert task["deferredTill"] == at(90)
    assert kept(task) == {"deferredDetails": details}


def test_snake_case_fields_are_read_beside_camel_case_ones() -> None:
    task = of_task(
        createdAt=None,
        created_at=at(5),
        updated_at=at(6),
        updated_by=str(user_id(2)),
        is_deleted=True,
        is_acknowledged=1,
        started_at=at(4),
    )
    assert [task[name] for name in ("createdAt", "updatedAt", "startedAt")] == [at(5), at(6), at(4)]
    assert (task["updatedBy"], task["isDeleted"], task["isAcknowledged"]) == (str(user_id(2)), True, True)
    assert "original" not in task


def test_two_names_with_different_values_lose_neither() -> None:
    task = of_task(created_at=at(5))

    assert task["createdAt"] == MADE_AT
    assert kept(task) == {"created_at": at(5)}


def test_missing_stamps_follow_from_the_id() -> None:
    task = record(planned({"tasks": [{"_id": ID, "title": "Dig"}]}), "tasks", ID)

    assert task["createdAt"] == task["updatedAt"] == ID.generation_time
    assert task["createdBy"] == task["ownerId"] == SYSTEM_ID


def test_the_system_may_create_roles_and_should_not_own_tasks() -> None:
    plan = planned(sample(), {"tasks": [{"_id": ID, "title": "Dig", "createdBy": "system"}]})

    assert "original" not in record(plan, "tasks", ID)
    assert finding(plan, "no_person", "tasks").samples == (str(ID),)
    assert not [one for one in plan.findings if (one.code, one.collection) == ("no_person", "roles")]


def test_a_version_of_the_document_is_not_undercut() -> None:
    plan = planned({"tasks": [{"_id": ID, "title": "Dig", "version": 5}]})
    assert [one.version for one in plan.records if one.collection == "tasks"] == [5]


def test_a_task_in_the_trash_gets_its_full_time_there() -> None:
    task = of_task(isDeleted=True, deletedAt=at(3))

    assert task["deletedAt"] == AT
    assert kept(task) == {"deletedAt": at(3)}


def test_accounts_with_one_address_become_one_person() -> None:
    plan = planned(sample(), duplicates())
    second = duplicates()["users"][0]["_id"]

    assert record(plan, "users", second)["isDeleted"] is True
    assert plan.emails["ada.berg@example.com"] == str(user_id(0))
    assert finding(plan, "same_address", "users").samples == (str(second),)
    assert record(plan, "tasks", duplicates()["tasks"][0]["_id"])["ownerId"] == str(user_id(0))
    members = [one.record["userId"] for one in live(plan, "team_members")]
    assert members.count(str(user_id(0))) == 1
    assert str(second) not in members


def test_a_number_that_is_taken_is_replaced_above_the_counter() -> None:
    plan = planned(sample(), duplicates())
    numbers = [one.record["displayId"] for one in plan.records if one.collection == "tasks"]

    assert len(set(numbers)) == len(numbers)
    assert record(plan, "tasks", task_id(0))["displayId"] == 1
    second, without = (record(plan, "tasks", one["_id"]) for one in duplicates()["tasks"])
    assert {second["displayId"], without["displayId"]} == {35, 36}
    assert kept(second)["displayId"] == "#1"
    assert plan.highest_number == 36


def test_a_number_is_never_given_again_after_the_last_task_was_removed() -> None:
    assert planned({"tasks": [], "counters": [{"_id": "taskDisplayId", "seq": 41}]}).highest_number == 41


def test_a_label_with_a_name_that_is_taken_stays_under_another_one() -> None:
    plan = planned(sample(), duplicates())
    label = record(plan, "labels", duplicates()["labels"][0]["_id"])

    assert (label["name"], label["nameKey"], kept(label)) == (
        "OUTSIDE (2)",
        "outside (2)",
        {"name": "OUTSIDE"},
    )
    assert record(plan, "labels", label_id(0))["name"] == "Outside"


def test_the_newest_of_several_active_assignments_counts() -> None:
    documents = [
        {
            "_id": ObjectId(f"65e58d90000000060000{number:04d}"),
            "task_id": ID,
            "assignee_id": user_id(number),
            "user_type": "user",
            "is_active": True,
            "created_at": at(number),
        }
        for number in (3, 1, 2)
    ]
    plan = planned({"tasks": [{"_id": ID, "title": "Dig"}], "task_details": documents})

    assert [one.record["assigneeId"] for one in live(plan, "task_assignments")] == [str(user_id(3))]
    assert record(plan, "tasks", ID)["assigneeId"] == str(user_id(3))
    assert finding(plan, "second_assignment", "task_details").count == 2


def test_roles_keep_their_rights() -> None:
    plan = planned(sample())
    roles = {one.record["userId"]: one.record["roleIds"] for one in live(plan, "team_members")
             if one.record["teamId"] == str(team_id(0))}  # fmt: skip

    assert roles[str(user_id(0))] == sorted([OWNER_ROLE_ID])
    assert roles[str(user_id(1))] == sorted([MEMBER_ROLE_ID, ADMIN_ROLE_ID])
    assert roles[str(user_id(2))] == [MEMBER_ROLE_ID]
    assert record(plan, "users", user_id(5))["grants"] == ["moderator"]
    assert len([one for one in plan.records if one.collection == "roles"]) == 6


def test_a_second_owner_keeps_every_right_as_an_admin() -> None:
    given = {"user_id": str(user_id(1)), "role_name": "owner", "scope": "TEAM", "team_id": str(team_id(0))}
    plan = planned(sample(), {"user_roles": [{"_id": ObjectId("65e58d900000000a00000777"), **given}]})

    assert record(plan, "teams", team_id(0))["ownerId"] == str(user_id(0))
    assert (
        ADMIN_ROLE_ID
        in record(plan, "team_members", membership_id(str(team_id(0)), str(user_id(1))))["roleIds"]
    )
    assert finding(plan, "second_owner", "teams").count == 1


def test_a_role_of_somebody_who_left_gives_no_rights() -> None:
    given = {"user_id": str(user_id(3)), "role_name": "admin", "scope": "TEAM", "team_id": str(team_id(0))}
    plan = planned(sample(), {"user_roles": [{"_id": ObjectId("65e58d900000000a00000778"), **given}]})
    member = record(plan, "team_members", membership_id(str(team_id(0)), str(user_id(3))))

    assert (member["isDeleted"], member["roleIds"]) == (True, [MEMBER_ROLE_ID])
    assert kept(member)["role_name"] == "admin"
    assert finding(plan, "left_team", "user_roles").count == 1


def test_a_role_without_membership_makes_a_member() -> None:
    given = {"user_id": str(user_id(4)), "role_name": "admin", "scope": "TEAM", "team_id": str(team_id(0))}
    plan = planned(sample(), {"user_roles": [{"_id": ObjectId("65e58d900000000a00000779"), **given}]})
    member = record(plan, "team_members", membership_id(str(team_id(0)), str(user_id(4))))

    assert (member["isDeleted"], ADMIN_ROLE_ID in member["roleIds"]) == (False, True)


def test_the_built_in_roles_take_the_place_of_their_namesakes() -> None:
    plan = planned(sample())
    role = record(plan, "roles", built_in_id(RoleScope.TEAM, "owner"))

    assert role["isBuiltIn"] is True
    assert kept(role)["description"] == "The role owner."


def test_a_pair_of_watchers_is_one_record_and_active_if_one_document_is() -> None:
    plan = planned(sample(), duplicates())
    watch = record(plan, "watchlists", watch_id(str(user_id(0)), str(task_id(0))))

    assert watch["isDeleted"] is False
    assert finding(plan, "same_pair", "watchlist").count == 1


def test_malformed_documents_are_named_and_nothing_of_them_is_lost() -> None:
    plan = planned(sample(), malformed())
    aside = {(one.collection, one.id): one.raw for one in plan.set_aside}

    documents = [
        (name, one) for name, found in malformed().items() for one in found if one["_id"] != task_id(902)
    ]
    assert {(name, str(one["_id"])) for name, one in documents} == aside.keys()
    assert all(str(document["_id"]) in aside[name, str(document["_id"])] for name, document in documents)
    for name, count in plan.documents.items():
        assert count.documents == count.adopted + count.quarantined, name
    assert not [one for one in plan.records if one.id in {id for _, id in aside}]


def test_every_document_is_in_a_record_or_in_quarantine() -> None:
    parts = (sample(), duplicates(), malformed())
    plan = planned(*parts)
    accounted = {source for one in plan.records for source in one.sources}
    accounted |= {part["id"] for one in plan.records for part in one.record.get("original", ())}
    accounted |= {event.id for one in plan.records for event in one.events}
    accounted |= {one.id for one in plan.set_aside}
    accounted |= {"taskDisplayId"}

    elsewhere = {"team_creation_invite_codes"}
    ids = {
        str(one["_id"])
        for part in parts
        for name, found in part.items()
        if name not in elsewhere
        for one in found
    }
    assert ids <= accounted


def test_history_belongs_to_its_task() -> None:
    plan = planned(sample())
    (task,) = [one for one in plan.records if one.id == str(task_id(2))]
    first, second = task.events

    assert (first.at, first.actor_id) == (at(9), str(user_id(0)))
    assert first.changes["adopted.event"]["after"] == "assigned_to_team"
    assert first.changes["adopted.teamId"]["after"] == str(team_id(0))
    assert second.changes["status"] == {"before": "TODO", "after": "BLOCKED"}


def test_history_of_a_task_that_is_gone_stays() -> None:
    event = {"_id": ObjectId("65e58d900000000800000777"), "task_id": ID, "action": "status_changed"}
    plan = planned({"audit_logs": [event]})

    assert [one.id for one in plan.loose["tasks", str(ID)]] == [str(event["_id"])]
    assert finding(plan, "orphan", "audit_logs").count == 1


def test_the_same_documents_make_the_same_plan() -> None:
    assert planned(sample(), duplicates(), malformed()) == planned(sample(), duplicates(), malformed())
