"""The documents of a task service of the usual public shape: a small team's work, invented by us."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

Document = dict[str, Any]
BEGIN = datetime(2024, 3, 4, 9, 0, 0, 125_000, tzinfo=UTC)
PEOPLE = ("Ada Berg", "Bo Chen", "Cem Demir", "Dana Eriksen", "Eli Fofana", "Fay García")
TITLES = (
    "Order the seeds",
    "Mend the gate",
    "Größe der Beete messen",
    "準備搬家",
    "Paint the shed",
    "Café für alle",
)
STATUSES = ("TODO", "IN_PROGRESS", "BLOCKED", "DONE", "DEFERRED")


def document_id(kind: int, number: int) -> ObjectId:
    """The ObjectId of the document of this kind with this number; the same at every run."""
    seconds = int(BEGIN.timestamp()) + number
    return ObjectId(f"{seconds:08x}{kind:08x}{number:08x}")


def at(minutes: int) -> datetime:
    """So many minutes after the beginning."""
    return BEGIN + timedelta(minutes=minutes)


def user_id(number: int) -> ObjectId:
    """The id of a person."""
    return document_id(1, number)


def team_id(number: int) -> ObjectId:
    """The id of a team."""
    return document_id(2, number)


def label_id(number: int) -> ObjectId:
    """The id of a label."""
    return document_id(3, number)


def task_id(number: int) -> ObjectId:
    """The id of a task; its display number is one higher."""
    return document_id(4, number)


def user(number: int) -> Document:
    """A person."""
    name = PEOPLE[number]
    address = f"{name.lower().replace(' ', '.').replace('í', 'i')}@example.com"
    person: Document = {
        "_id": user_id(number),
        "google_id": f"1000000000000000{number:05d}",
        "email_id": address,
        "name": name,
        "picture": f"https://example.com/{number}.png",
        "created_at": at(number),
    }
    return person if number % 2 else {**person, "updated_at": at(number + 60)}


def roles() -> list[Document]:
    """The roles that people can hold."""
    named = (
        ("moderator", "GLOBAL"),
        ("owner", "TEAM"),
        ("admin", "TEAM"),
        ("member", "TEAM"),
        ("scribe", "TEAM"),
    )
    return [
        {
            "_id": document_id(9, number),
            "name": name,
            "scope": scope,
            "description": f"The role {name}.",
            "is_active": True,
            "created_by": "system",
            "created_at": at(0),
        }
        for number, (name, scope) in enumerate(named)
    ]


def user_roles() -> list[Document]:
    """Who holds which role, and where."""
    given = (
        (5, "moderator", None),
        (0, "owner", 0),
        (1, "admin", 0),
        (2, "member", 0),
        (0, "member", 0),
        (2, "owner", 1),
    )
    return [
        {
            "_id": document_id(10, number),
            "user_id": str(user_id(person)),
            "role_name": role,
            "scope": "GLOBAL" if team is None else "TEAM",
            "team_id": None if team is None else str(team_id(team)),
            "is_active": True,
            "created_at": at(20 + number),
            "created_by": "system",
        }
        for number, (person, role, team) in enumerate(given)
    ]


def team(number: int, name: str) -> Document:
    """A team."""
    owner = user_id(number * 2)
    return {
        "_id": team_id(number),
        "name": name,
        "description": f"{name} of the whole street",
        "poc_id": user_id(number * 2 + 1),
        "invite_code": f"AB12C{number}",
        "created_by": owner,
        "updated_by": owner,
        "created_at": at(10 + number),
        "updated_at": at(30 + number),
        "is_deleted": False,
    }


def membership(number: int, *, is_active: bool = True) -> Document:
    """That a person belongs to the first team."""
    return {
        "_id": document_id(5, number),
        "user_id": user_id(number),
        "team_id": team_id(0),
        "is_active": is_active,
        "role_id": "1",
        "created_by": user_id(0),
        "updated_by": user_id(0),
        "created_at": at(15 + number),
        "updated_at": at(40 + number),
    }


def label(number: int, name: str) -> Document:
    """A label."""
    return {
        "_id": label_id(number),
        "name": name,
        "color": f"#0D1A4{number}",
        "isDeleted": False,
        "createdAt": at(12 + number),
        "updatedAt": None,
        "createdBy": str(user_id(number)),
    }


def task(number: int) -> Document:
    """A task, with some of the oddities that years of changes leave."""
    status = STATUSES[number % len(STATUSES)]
    maker = str(user_id(number % len(PEOPLE)))
    task: Document = {
        "_id": task_id(number),
        "displayId": f"#{number + 1}",
        "title": f"{TITLES[number % len(TITLES)]} {number}",
        "description": None if number % 4 == 0 else f"Step {number} of the plan,\nwith a second line.",
        "priority": number % 3 + 1,
        "status": status,
        "isAcknowledged": number % 5 == 0,
        "labels": [label_id(one) for one in range(number % 3)],
        "isDeleted": number % 10 == 9,
        "startedAt": None if status == "TODO" else at(number + 5),
        "dueAt": at(100_000 + number) if number % 2 else None,
        "createdAt": at(number),
        "updatedAt": at(number + 50) if number % 3 else None,
        "createdBy": maker,
        "updatedBy": maker if number % 3 else None,
    }
    if status == "DEFERRED":
        task["deferredDetails"] = {
            "deferredAt": at(number),
            "deferredTill": at(90_000 + number),
            "deferredBy": maker,
        }
    return {**task, **_oddities(number, task)}


def _oddities(number: int, task: Mapping[str, Any]) -> Document:
    """What years of changes leave in a collection: other names, other kinds, fields that nobody knows any more."""
    match number % 7:
        case 1:
            return {"created_at": task["createdAt"], "createdAt": None}
        case 2:
            return {"estimate": Decimal128("2.50"), "thumbnail": Binary(b"\x00\xff"), "balance": -0.0}
        case 3:
            return {"displayId": number + 1, "priority": "HIGH"}
        case 4:
            return {"history": [{"at": task["createdAt"], "by": ObjectId(str(task["createdBy"]))}]}
        case _:
            return {}


def assignment(number: int) -> Document:
    """The assignment of a task to a team or to a person."""
    is_for_team = number % 4 == 0
    return {
        "_id": document_id(6, number),
        "task_id": task_id(number),
        "assignee_id": team_id(0) if is_for_team else user_id(number % len(PEOPLE)),
        "user_type": "team" if is_for_team else "user",
        "is_active": number % 6 != 0,
        "created_by": user_id(0),
        "updated_by": None,
        "created_at": at(number + 7),
        "updated_at": None,
        "executor_id": user_id(1) if is_for_team else None,
        "team_id": team_id(0) if is_for_team else None,
    }


def watch(number: int) -> Document:
    """That somebody follows a task."""
    person = str(user_id(number % len(PEOPLE)))
    return {
        "_id": document_id(7, number),
        "taskId": str(task_id(number)),
        "userId": person,
        "isActive": number % 9 != 0 or number == 0,
        "createdAt": at(number + 8),
        "createdBy": person,
        "updatedAt": None,
        "updatedBy": None,
    }


def task_events(number: int) -> Sequence[Document]:
    """What happened to a task."""
    return (
        {
            "_id": document_id(8, number * 2),
            "task_id": task_id(number),
            "team_id": team_id(0),
            "action": "assigned_to_team",
            "performed_by": user_id(0),
            "timestamp": at(number + 7),
        },
        {
            "_id": document_id(8, number * 2 + 1),
            "task_id": task_id(number),
            "action": "status_changed",
            "status_from": "TODO",
            "status_to": STATUSES[number % len(STATUSES)],
            "performed_by": user_id(1),
            "timestamp": at(number + 40),
        },
    )


def team_event() -> Document:
    """What happened to a team."""
    return {
        "_id": document_id(8, 9_999),
        "team_id": team_id(0),
        "action": "member_joined_team",
        "new_executor_id": user_id(2),
        "performed_by": user_id(2),
        "timestamp": at(17),
    }
