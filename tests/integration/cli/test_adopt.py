"""`tandem adopt`: another service's database, and what its people find in Tandem afterwards."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from bson.json_util import CANONICAL_JSON_OPTIONS, dumps, loads
from bson.objectid import ObjectId
from pymongo import MongoClient

from adapters.records.record import Record, instant_text
from tests.integration.cli.adopted_service import Visit, documents_of, stored_in, visited
from tests.integration.cli.conftest import Fill, Settings
from tests.servers.mongo import MongoDatabase
from tests.unit.entrypoints.cli.conftest import Tandem
from tools.todo_database import duplicates, malformed, sample
from tools.todo_documents import PEOPLE, at, task_id, team_id, user_id

FAY, ADA, BO, CEM = (
    "fay.garcia@example.com",
    "ada.berg@example.com",
    "bo.chen@example.com",
    "cem.demir@example.com",
)
"""A moderator, who sees every task; the owner, an admin and a member of a team."""
PRIORITIES = {1: "HIGH", 2: "MEDIUM", 3: "LOW", "HIGH": "HIGH"}
TASK_FIELDS = {
    "title", "description", "priority", "status", "displayId", "isAcknowledged", "labels", "isDeleted", "startedAt",
    "dueAt", "createdAt", "created_at", "updatedAt", "createdBy", "updatedBy",
}  # fmt: skip
"""The fields of a task's document that the service shows; all others are kept with the record."""

Document = dict[str, Any]


def kept(record: Record) -> Document:
    """What a record keeps of its documents."""
    options = CANONICAL_JSON_OPTIONS.with_options(tz_aware=True, tzinfo=UTC)
    values: Document = {}
    for part in record.get("original", ()):
        values |= loads(part["fields"], json_options=options)
    return values


def shown(value: object) -> object:
    """A value as the interface shows it."""
    if isinstance(value, datetime):
        return instant_text(value)
    return str(value) if isinstance(value, ObjectId) else value


def task_view(document: Document, assignment: Document | None) -> Document:
    """What the service has to return for a task of the sample."""
    made_at = document.get("createdAt") or document["created_at"]
    details = document.get("deferredDetails") or {}
    assigned = assignment or {}
    return {
        "id": str(document["_id"]),
        "title": document["title"],
        "description": document["description"],
        "displayId": f"#{str(document['displayId']).removeprefix('#')}",
        "priority": PRIORITIES[document["priority"]],
        "status": "TODO" if document["status"] == "DEFERRED" else document["status"],
        "isAcknowledged": document["isAcknowledged"],
        "labelIds": sorted(map(str, document["labels"])),
        "isDeleted": document["isDeleted"],
        "startedAt": shown(document["startedAt"]),
        "dueAt": shown(document["dueAt"]),
        "deferredTill": shown(details.get("deferredTill")),
        "createdAt": shown(made_at),
        "updatedAt": shown(document["updatedAt"] or made_at),
        "createdBy": document["createdBy"],
        "updatedBy": document["updatedBy"] or document["createdBy"],
        "ownerId": document["createdBy"],
        "assigneeId": shown(assigned.get("assignee_id")),
        "assigneeType": assigned["user_type"].upper() if assigned else None,
        "executorId": shown(assigned.get("executor_id")),
    }


def test_every_field_of_every_task_is_returned_or_kept(
    tandem: Tandem, settings: Settings, fill: Fill
) -> None:
    documents = sample()
    fill(documents)
    ended = tandem("adopt", "--json")
    assert ended.code == 0, ended.out + ended.err

    async def read(visit: Visit) -> list[Document]:
        return [await visit.view(FAY, f"/v1/tasks/{task['_id']}") for task in documents["tasks"]]

    views = visited(settings, read)
    active = {one["task_id"]: one for one in documents["task_details"] if one["is_active"]}
    for document, view in zip(documents["tasks"], views, strict=True):
        expected = task_view(document, active.get(document["_id"]))
        assert {name: view[name] for name in expected} == expected

    records = {record["id"]: record for record in stored_in(settings)["tasks"]}
    for document in documents["tasks"]:
        others = {name: value for name, value in document.items() if name not in {"_id", *TASK_FIELDS}}
        found = kept(records[str(document["_id"])])
        same = {name: dumps(found.get(name), json_options=CANONICAL_JSON_OPTIONS) for name in others}
        assert same == {
            name: dumps(value, json_options=CANONICAL_JSON_OPTIONS) for name, value in others.items()
        }


def test_people_sign_in_and_find_their_teams_roles_and_tasks(
    tandem: Tandem, settings: Settings, fill: Fill
) -> None:
    fill(sample())
    assert tandem("adopt", "--json").code == 0

    async def read(visit: Visit) -> None:
        for number, name in enumerate(PEOPLE):
            email = sample()["users"][number]["email_id"]
            me = await visit.view(email, "/v1/users/me")
            assert (me["id"], me["name"], me["email"]) == (str(user_id(number)), name, email)
        assert (await visit.view(FAY, "/v1/users/me"))["grants"] == ["moderator"]
        team = await visit.view(BO, f"/v1/teams/{team_id(0)}")
        assert (team["name"], team["ownerId"], team["pocId"]) == (
            "Gardeners",
            str(user_id(0)),
            str(user_id(1)),
        )
        members = {one["userId"] for one in await visit.items(CEM, f"/v1/teams/{team_id(0)}/members")}
        assert members == {str(user_id(0)), str(user_id(1)), str(user_id(2))}
        await visit.service.call(
            await visit.person(BO), "PATCH", f"/v1/teams/{team_id(0)}", {"description": "Ours"}, expect=200
        )
        await visit.service.call(
            await visit.person(CEM), "PATCH", f"/v1/teams/{team_id(0)}", {"description": "Mine"}, expect=403
        )
        watched = {one["id"] for one in await visit.items(ADA, "/v1/watchlist")}
        expected = [
            one for one in sample()["watchlist"] if one["isActive"] and one["userId"] == str(user_id(0))
        ]
        deleted = {str(one["_id"]) for one in sample()["tasks"] if one["isDeleted"]}
        assert watched == {one["taskId"] for one in expected} - deleted
        versions = await visit.items(ADA, f"/v1/tasks/{task_id(0)}/versions")
        assert [one["changes"]["adopted.event"]["after"] for one in versions[1:]] == [
            "status_changed",
            "assigned_to_team",
        ]
        made = await visit.service.view(await visit.person(ADA), "POST", "/v1/tasks", {"title": "New"})
        assert int(made["displayId"].removeprefix("#")) > sample()["counters"][0]["seq"]
        labels = {one["name"] for one in await visit.items(ADA, "/v1/labels")}
        assert labels == {"Outside", "Tools"}

    visited(settings, read)


def test_the_collections_of_the_other_service_stay_as_they_are(
    tandem: Tandem, settings: Settings, fill: Fill, mongo_database: MongoDatabase
) -> None:
    fill(sample(), duplicates(), malformed())
    before = documents_of(mongo_database)

    assert tandem("adopt", "--dry-run", "--json").code == 1
    with MongoClient[Document](mongo_database.uri) as client:
        assert not [
            one for one in client[mongo_database.name].list_collection_names() if one.startswith("tandem")
        ]
    assert tandem("adopt", "--json").code == 1

    async def change(visit: Visit) -> None:
        await visit.service.view(
            await visit.person(FAY), "PATCH", f"/v1/tasks/{task_id(1)}", {"title": "Changed"}
        )

    visited(settings, change)
    assert documents_of(mongo_database) == before


def test_malformed_documents_are_named_and_kept_until_they_are_corrected(
    tandem: Tandem, settings: Settings, fill: Fill, mongo_database: MongoDatabase
) -> None:
    fill(sample(), malformed())
    ended = tandem("adopt", "--json")
    named = {(one["collection"], one["id"]) for one in ended.view["quarantine"]}

    broken = {(name, str(one["_id"])) for name, found in malformed().items() for one in found}
    assert (ended.code, named) == (1, broken - {("tasks", str(task_id(902)))})
    raws = [
        one["value"]["raw"]
        for one in stored_in(settings)["control"]
        if one["id"].startswith("adoption-quarantine:")
    ]
    assert len(raws) == len(named)
    assert any("With a number as id" in raw for raw in raws)

    with MongoClient[Document](mongo_database.uri) as client:
        for name, found in malformed().items():
            for one in found:
                if str(one["_id"]) != str(task_id(902)):
                    client[mongo_database.name][name].delete_one({"_id": one["_id"]})
        corrected = {**malformed()["tasks"][1], "title": "Corrected"}
        client[mongo_database.name]["tasks"].insert_one(corrected)
    again = tandem("adopt", "--json")

    assert (again.code, again.view["written"], again.view["quarantine"]) == (0, 1, [])
    titles = [one["title"] for one in stored_in(settings)["tasks"] if one["id"] == str(corrected["_id"])]
    assert titles == ["Corrected"]


def test_a_person_with_two_accounts_finds_the_work_of_both(
    tandem: Tandem, settings: Settings, fill: Fill
) -> None:
    fill(sample(), duplicates())
    assert tandem("adopt", "--json").code == 0

    async def read(visit: Visit) -> tuple[Document, Document]:
        second = duplicates()["tasks"][0]["_id"]
        return await visit.view(ADA, "/v1/users/me"), await visit.view(ADA, f"/v1/tasks/{second}")

    me, task = visited(settings, read)
    assert (me["id"], task["ownerId"]) == (str(user_id(0)), str(user_id(0)))
    assert task["displayId"] != "#1"


def test_the_move_works_on_adopted_data(
    tandem: Tandem,
    settings: Settings,
    fill: Fill,
    prepared_postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_nul = {
        "_id": task_id(77),
        "title": "NUL \0 in it",
        "createdBy": str(user_id(0)),
        "createdAt": at(77),
    }
    fill(sample(), duplicates(), malformed(), {"tasks": [with_nul]})
    assert tandem("adopt", "--json").code == 1
    dual = {"STORE": "dual", "DUAL_WRITE_SOURCE": "mongo", "POSTGRES_URL": prepared_postgres_url}
    for name, value in dual.items():
        monkeypatch.setenv(name, value)
    assert tandem("migrate", "up").code == 0

    def move(*words: str) -> Document:
        ended = tandem("move", *words, "--json")
        assert ended.code == 0, f"{words}: {ended.out} {ended.err}"
        return ended.view

    assert move("preflight")["isClear"] is True
    move("backfill", "--wait")
    verified = move("verify", "--full", "--wait")
    assert (verified["coverage"], verified["differenceCount"]) == (1.0, 0)
    before = stored_in(settings)["tasks"]
    assert move("cutover", "--force", "No shadow reads in this test.")["owner"] == "postgres"
    assert tasks_in_postgres({**settings, **dual}) == before


def test_an_adoption_is_mirrored_as_it_happens(
    tandem: Tandem,
    settings: Settings,
    fill: Fill,
    prepared_postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(sample(), duplicates())
    dual = {"STORE": "dual", "DUAL_WRITE_SOURCE": "mongo", "POSTGRES_URL": prepared_postgres_url}
    for name, value in dual.items():
        monkeypatch.setenv(name, value)
    assert tandem("adopt", "--json").code == 0

    async def delivered(visit: Visit) -> None:
        await visit.service.require_sound()

    visited({**settings, **dual}, delivered)


def tasks_in_postgres(variables: Mapping[str, str]) -> list[Record]:
    """The tasks of the target, with what they keep of their documents."""
    return stored_in({**variables, "STORE": "postgres"})["tasks"]


def test_any_store_can_take_over_a_database(
    tandem: Tandem,
    settings: Settings,
    fill: Fill,
    mongo_database: MongoDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(sample())
    for name, value in {"STORE": "monty", "DB_NAME": "tandem"}.items():
        monkeypatch.setenv(name, value)
    assert tandem("adopt", "--from", mongo_database.name, "--json").code == 0

    monty = {**settings, "STORE": "monty", "DB_NAME": "tandem"}
    assert len(stored_in(monty)["tasks"]) == len(sample()["tasks"])
    with MongoClient[Document](mongo_database.uri) as client:
        assert not [
            one for one in client[mongo_database.name].list_collection_names() if one.startswith("tandem")
        ]
