"""Documents as another service wrote them, and the records that they are read as."""

from datetime import UTC, datetime
from typing import Any

from bson.objectid import ObjectId

from adapters.records.record import Record
from tests.unit.contracts.builders import numbered_id

MAKER = ObjectId("65a000000000000000000001")
PROJECT = ObjectId("65a000000000000000000002")
LABEL = ObjectId("65a000000000000000000003")
OLD_ID = ObjectId("65b000000000000000000004")
MADE_AT = datetime(2024, 1, 23, 12, 0, 0, 250_000, tzinfo=UTC)


def old_task(document_id: ObjectId | str = OLD_ID, **fields: Any) -> dict[str, Any]:
    """A task of another service: other names, references as ObjectIds, no version, no owner."""
    return {
        "_id": document_id,
        "title": "Mend the gate",
        "status": "in progress",
        "priority": "HIGH",
        "displayId": "#12",
        "labels": [LABEL],
        "projectId": PROJECT,
        "due_at": "2024-02-01T10:00:00+02:00",
        "createdAt": MADE_AT,
        "createdBy": MAKER,
        "deferredDetails": {"deferredTill": MADE_AT, "deferredBy": MAKER},
        "board": {"column": ObjectId("65a000000000000000000009")},
        **fields,
    }


def upgraded_task(record_id: str = str(OLD_ID), **fields: Any) -> Record:
    """The record that it is read as: required fields are filled, and nothing is lost."""
    return {
        "id": record_id,
        "version": 1,
        "title": "Mend the gate",
        "status": "IN_PROGRESS",
        "priority": 1,
        "displayId": 12,
        "labelIds": [str(LABEL)],
        "projectId": str(PROJECT),
        "dueAt": datetime(2024, 2, 1, 8, tzinfo=UTC),
        "dueBy": datetime(2024, 2, 1, 8, tzinfo=UTC),
        "createdAt": MADE_AT,
        "createdBy": str(MAKER),
        "updatedAt": MADE_AT,
        "updatedBy": str(MAKER),
        "ownerId": str(MAKER),
        "isDeleted": False,
        "isAcknowledged": False,
        "links": [],
        "deferredTill": MADE_AT,
        "deferredDetails": {"deferredTill": "2024-01-23T12:00:00.250Z", "deferredBy": str(MAKER)},
        "board": {"column": "65a000000000000000000009"},
        **fields,
    }


def unmendable_task(number: int) -> dict[str, Any]:
    """A task without a title, for which there is no default."""
    document = old_task(numbered_id(number))
    del document["title"]
    return document
