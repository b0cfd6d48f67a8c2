"""What an installation from before homes and derived ids holds, and what becomes of it once it is put in place."""

from collections.abc import Sequence
from typing import Any

from bson.objectid import ObjectId

from adapters.records.record import IS_ERASED, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import SPECS
from application.ports.schema import OutOfPlace
from domain.team import MEMBER_ROLE_ID, OWNER_ROLE_ID, membership_id
from domain.watch import watch_id
from tests.unit.contracts.old_documents import MADE_AT

Document = dict[str, Any]

OWNER, MAKER, DOER = (f"65a0000000000000000000a{digit}" for digit in "123")
TEAM, PROJECT = "65a0000000000000000000b1", "65a0000000000000000000c1"
MADE_BY_OTHER, IN_TRASH, ALONE, GIVEN, TAKEN = (f"65b00000000000000000000{digit}" for digit in "12345")
TO_USER, TO_TEAM, ENDED = (f"65c00000000000000000000{digit}" for digit in "123")
WATCH, FORMER_WATCH = "65d000000000000000000001", "65d000000000000000000002"
OWNERSHIP, MEMBERSHIP = "65e000000000000000000001", "65e000000000000000000002"

NEW_WATCH = watch_id(OWNER, GIVEN)
NEW_OWNERSHIP, NEW_MEMBERSHIP = membership_id(TEAM, OWNER), membership_id(TEAM, DOER)


def old_documents() -> dict[str, list[Document]]:
    """A project of a team with tasks that somebody else made, assignments, watches and memberships, by collection.

    References are ObjectIds, nothing has a version, and what is over is not active.
    """
    return {
        "teams": [_document(TEAM, OWNER, name="Gardeners", ownerId=ObjectId(OWNER))],
        "projects": [
            _document(PROJECT, OWNER, name="Garden", ownerId=ObjectId(OWNER), teamId=ObjectId(TEAM))
        ],
        "tasks": [
            _document(MADE_BY_OTHER, MAKER, title="Mend the gate", projectId=ObjectId(PROJECT)),
            _document(
                IN_TRASH,
                MAKER,
                title="Paint it",
                projectId=ObjectId(PROJECT),
                isDeleted=True,
                deletedAt=MADE_AT,
                deletedBy=ObjectId(MAKER),
            ),
            _document(ALONE, MAKER, title="Read"),
            _document(GIVEN, MAKER, title="Dig"),
            _document(TAKEN, OWNER, title="Rake", projectId=ObjectId(PROJECT)),
        ],
        "task_assignments": [
            _document(TO_USER, MAKER, **_given(GIVEN, DOER, "user"), isActive=True),
            _document(
                TO_TEAM, OWNER, **_given(TAKEN, TEAM, "team"), executor_id=ObjectId(DOER), is_active=True
            ),
            _document(ENDED, OWNER, **_given(ALONE, DOER, "user"), isActive=False),
        ],
        "watchlists": [
            _document(
                WATCH, OWNER, userId=ObjectId(OWNER), taskId=ObjectId(GIVEN), isActive=True, source="app"
            ),
            _document(FORMER_WATCH, OWNER, userId=ObjectId(OWNER), taskId=ObjectId(GIVEN), isActive=False),
        ],
        "team_members": [
            _document(OWNERSHIP, OWNER, teamId=ObjectId(TEAM), userId=ObjectId(OWNER), isActive=True),
            _document(MEMBERSHIP, OWNER, teamId=ObjectId(TEAM), userId=ObjectId(DOER), isActive=True),
        ],
    }


def _document(id: str, maker: str, **fields: Any) -> Document:
    return {"_id": ObjectId(id), "createdAt": MADE_AT, "createdBy": ObjectId(maker), **fields}


def _given(task_id: str, assignee_id: str, kind: str) -> Document:
    return {"task_id": ObjectId(task_id), "assignee_id": ObjectId(assignee_id), "user_type": kind}


def old_records() -> dict[str, list[Record]]:
    """The same as every store reads it, by collection."""
    return {
        collection: [SPECS[collection].upgraded(_without_object_ids(document)) for document in documents]
        for collection, documents in old_documents().items()
    }


def _without_object_ids(document: Document) -> Record:
    record = {name: str(value) if isinstance(value, ObjectId) else value for name, value in document.items()}
    return {"id": record.pop("_id"), **record}


WAITING = {"tasks": 4, "watchlists": 2, "team_members": 2}
"""How many of these are out of place."""


def counted(places: Sequence[OutOfPlace]) -> dict[str, tuple[int, int]]:
    """By collection, how many wait and how many were put in place."""
    return {place.collection: (place.waiting, place.placed) for place in places}


async def require_in_place(store: RecordStore) -> None:
    """Fails unless everything of `old_documents` is where today's program looks for it, and nothing else changed."""
    tasks = await store.fetch("tasks", [MADE_BY_OTHER, IN_TRASH, ALONE, GIVEN, TAKEN])
    assert {id: _of_task(record) for id, record in tasks.items()} == {
        MADE_BY_OTHER: (2, OWNER, TEAM, None, None, None),
        IN_TRASH: (2, OWNER, TEAM, None, None, None),
        ALONE: (1, MAKER, None, None, None, None),
        GIVEN: (2, MAKER, None, DOER, "USER", None),
        TAKEN: (2, OWNER, TEAM, TEAM, "TEAM", DOER),
    }
    assert tasks[IN_TRASH]["isDeleted"] is True
    watches = await store.fetch("watchlists", [NEW_WATCH, WATCH, FORMER_WATCH])
    watch = watches.pop(NEW_WATCH)
    assert (watch["version"], watch["isDeleted"], watch["createdAt"]) == (1, False, MADE_AT)
    assert (watch["userId"], watch["taskId"], watch["source"]) == (OWNER, GIVEN, "app")
    assert [one[IS_ERASED] for one in watches.values()] == [True, True]
    members = await store.fetch("team_members", [NEW_OWNERSHIP, NEW_MEMBERSHIP, OWNERSHIP, MEMBERSHIP])
    roles = {id: members.pop(id)["roleIds"] for id in (NEW_OWNERSHIP, NEW_MEMBERSHIP)}
    assert roles == {NEW_OWNERSHIP: [OWNER_ROLE_ID], NEW_MEMBERSHIP: [MEMBER_ROLE_ID]}
    assert [one[IS_ERASED] for one in members.values()] == [True, True]


def _of_task(record: Record) -> tuple[Any, ...]:
    names = ("version", "ownerId", "teamId", "assigneeId", "assigneeType", "executorId")
    return tuple(record.get(name) for name in names)
