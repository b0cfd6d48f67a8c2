"""Writes a MongoDB database of the public shape that `tandem adopt` takes over: a small team's work, invented by us.

Run with `python -m tools.todo_database mongodb://localhost:27017/?replicaSet=rs0 todo-app`, which prints what it wrote.
"""

import sys
from collections.abc import Mapping, Sequence

from pymongo import MongoClient

from tools.todo_documents import (
    PEOPLE,
    Document,
    assignment,
    at,
    document_id,
    label,
    membership,
    roles,
    task,
    task_events,
    task_id,
    team,
    team_event,
    user,
    user_id,
    user_roles,
    watch,
)

USED = (
    "usage: python -m tools.todo_database MONGODB_URI DATABASE [TASKS]\n"
    "Writes sample data of another service into an empty database."
)


def sample(tasks: int = 30) -> dict[str, list[Document]]:
    """The documents of each collection, none of them malformed and no two with one unique value."""
    return {
        "users": [user(number) for number in range(len(PEOPLE))],
        "roles": roles(),
        "user_roles": user_roles(),
        "teams": [team(0, "Gardeners"), {**team(1, "Builders"), "is_deleted": True}],
        "user_team_details": [membership(number, is_active=number != 3) for number in range(4)],
        "labels": [label(0, "Outside"), label(1, "Tools")],
        "tasks": [task(number) for number in range(tasks)],
        "task_details": [assignment(number) for number in range(0, tasks, 2)],
        "watchlist": [watch(number) for number in range(0, tasks, 3)],
        "audit_logs": [event for number in range(0, tasks, 2) for event in task_events(number)]
        + [team_event()],
        "counters": [{"_id": "taskDisplayId", "seq": tasks + 4}],
        "team_creation_invite_codes": [{"_id": document_id(12, 0), "code": "K7RT42", "is_used": False}],
    }


def malformed() -> dict[str, list[Document]]:
    """Documents that cannot become records, and some of which a value cannot be used."""
    return {
        "users": [
            {"_id": document_id(1, 90), "name": "Nobody", "email_id": "no address", "created_at": at(1)}
        ],
        "tasks": [
            {"_id": 4711, "title": "With a number as id", "createdBy": str(user_id(0)), "createdAt": at(2)},
            {
                "_id": document_id(4, 901),
                "createdBy": str(user_id(0)),
                "createdAt": at(3),
                "displayId": "#901",
            },
            {**task(902), "priority": "whenever", "dueAt": "soon", "labels": ["x"], "createdBy": "system"},
        ],
        "task_details": [{"_id": document_id(6, 900), "task_id": task_id(1), "user_type": "user"}],
        "watchlist": [{"_id": document_id(7, 900), "taskId": str(task_id(1))}],
        "labels": [{"_id": document_id(3, 900), "color": "#112233"}],
        "audit_logs": [{"_id": document_id(8, 900), "action": "status_changed", "timestamp": at(9)}],
    }


def duplicates() -> dict[str, list[Document]]:
    """Documents with values that must be unique and are taken: by the sample, or by one another."""
    second = {
        **user(0),
        "_id": document_id(1, 91),
        "email_id": "Ada.Berg@Example.com",
        "created_at": at(500),
    }
    return {
        "users": [second],
        "user_team_details": [
            {**membership(0), "_id": document_id(5, 91), "user_id": second["_id"]},
            {**membership(1, is_active=False), "_id": document_id(5, 92)},
        ],
        "labels": [{**label(0, "OUTSIDE"), "_id": document_id(3, 91)}],
        "tasks": [
            {**task(91), "displayId": "#1", "createdBy": str(second["_id"])},
            {key: value for key, value in task(92).items() if key != "displayId"},
        ],
        "task_details": [{**assignment(0), "_id": document_id(6, 91), "created_at": at(900)}],
        "watchlist": [{**watch(0), "_id": document_id(7, 91), "isActive": False}],
    }


def write(uri: str, database: str, *parts: Mapping[str, Sequence[Document]]) -> dict[str, int]:
    """Writes these documents into a database; returns how many each of its collections holds then."""
    with MongoClient[Document](uri) as client:
        target = client[database]
        for documents in parts:
            for collection, found in documents.items():
                target[collection].insert_many(found)
        return {name: target[name].count_documents({}) for name in sorted(target.list_collection_names())}


def main(arguments: Sequence[str]) -> int:
    """Writes the sample; returns an exit code."""
    if len(arguments) not in (2, 3):
        sys.stderr.write(f"{USED}\n")
        return 2
    uri, database, *tasks = arguments
    with MongoClient[Document](uri) as client:
        if client[database].list_collection_names():
            sys.stderr.write(f"The database {database} is not empty; name another one.\n")
            return 1
    for name, count in write(uri, database, sample(*map(int, tasks)), duplicates()).items():
        sys.stdout.write(f"{count:6} {name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
