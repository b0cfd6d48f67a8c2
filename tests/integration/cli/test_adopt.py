"""`tandem adopt`: another service's database, and what its people find in Tandem afterwards."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson.json_util import CANONICAL_JSON_OPTIONS, dumps, loads
from bson.objectid import ObjectId
from pymongo import MongoClient

from adapters.adoption.aside import QUARANTINE_MAX
from adapters.records.record import Record, instant_text
from entrypoints.composition.adoption import make_room, originals_in
from entrypoints.composition.failures import StoreRefused
from entrypoints.composition.settings import read_settings
from tests.integration.cli.adopted_service import Visit, documents_of, stored_in, visited
from tests.integration.cli.conftest import StartCommand
from tests.servers.mongo import MongoDatabase
from tests.servers.processes import wait_until
from tests.unit.entrypoints.cli.conftest import Tandem
from tools.todo_database import duplicates, malformed, sample, write
from tools.todo_documents import PEOPLE, at, task_id, team_id, user_id

FAY, ADA, BO, CEM = (
    "fay.garcia@example.com",
    "ada.berg@example.com",
    "bo.chen@example.com",
    "cem.demir@example.com",
)
"""A moderator, who sees every task; the owner, an admin and a member of a team."""
ADOPTED_SECONDS_MAX = 60.0
PRIORITIES = {1: "HIGH", 2: "MEDIUM", 3: "LOW", "HIGH": "HIGH"}
TASK_FIELDS = {
    "title", "description", "priority", "status", "displayId", "isAcknowledged", "labels", "isDeleted", "startedAt",
    "dueAt", "createdAt", "created_at", "updatedAt", "createdBy", "updatedBy",
}  # fmt: skip
"""The fields of a task's document that the service shows; all others are kept with the record."""

Document = dict[str, Any]
Settings = dict[str, str]


@pytest.fixture
def settings(mongo_database: MongoDatabase, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of an operator who points Tandem at the database of the other service."""
    variables = {
        "APP_ENV": "test",
        "STORE": "mongo",
        "MONGODB_URI": mongo_database.uri,
        "DB_NAME": mongo_database.name,
        "DATA_DIR": str(data_dir),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


Fill = Callable[..., None]


@pytest.fixture
def fill(mongo_database: MongoDatabase) -> Fill:
    """Writes documents into the database."""

    def fill(*parts: Mapping[str, list[Document]]) -> None:
        write(mongo_database.uri, mongo_database.name, *parts)

    return fill


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


def test_a_second_adoption_changes_nothing(tandem: Tandem, settings: Settings, fill: Fill) -> None:
    fill(sample(), duplicates(), malformed())
    first = tandem("adopt", "--json").view
    before = stored_in(settings)

    second = tandem("adopt", "--json").view

    assert (second["written"], second["quarantine"]) == (0, first["quarantine"])
    after = stored_in(settings)
    assert {name: after[name] for name in before if name != "control"} == {
        name: before[name] for name in before if name != "control"
    }


def test_an_adoption_that_was_killed_goes_on(
    tandem: Tandem, settings: Settings, fill: Fill, start_command: StartCommand, mongo_database: MongoDatabase
) -> None:
    fill(sample(250))
    process = start_command("adopt", **settings)
    with MongoClient[Document](mongo_database.uri) as client:
        own = client[mongo_database.name]["tandem.tasks"]
        wait_until(
            lambda: own.count_documents({}) > 0 or not process.is_running,
            seconds_max=ADOPTED_SECONDS_MAX,
            reason="nothing is adopted",
        )
        process.kill()
        (note,) = client[mongo_database.name]["tandem.control"].find({"_id": "adoption"})
        assert (own.count_documents({}) > 0, note["value"]["state"]) == (True, "RUNNING")

    refused = start_command("serve", "--port", "0", **settings)
    assert refused.wait_ended() == 3
    assert "adoption of another service's database is not complete" in refused.evidence()

    assert tandem("adopt", "--json").code == 0
    stored = stored_in(settings)
    assert {one["id"] for one in stored["tasks"]} == {str(one["_id"]) for one in sample(250)["tasks"]}
    entries = {one["id"] for one in stored["audit_logs"]}
    assert {str(one["_id"]) for one in sample(250)["audit_logs"]} <= entries


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
        if one["id"].startswith("adoption-aside:")
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


def test_an_adoption_completes_the_mark_of_a_target_that_is_the_adopted_database(
    tandem: Tandem,
    settings: Settings,
    fill: Fill,
    mongo_database: MongoDatabase,
    prepared_postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(sample())
    dual = {
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": "postgres",
        "DUAL_WRITE_TARGET": "mongo",
        "POSTGRES_URL": prepared_postgres_url,
    }
    for name, value in dual.items():
        monkeypatch.setenv(name, value)

    assert tandem("adopt", "--json").code == 0

    with MongoClient[Document](mongo_database.uri) as client:
        (mark,) = client[mongo_database.name]["tandem.control"].find({"_id": "adoption"})
    assert mark["value"]["state"] == "DONE"
    assert len(tasks_in_postgres({**settings, **dual})) == len(sample()["tasks"])
    assert tandem("adopt", "--dry-run", "--json").view["soFar"] == "COMPLETE"


def test_a_database_with_too_many_unusable_documents_is_not_marked(
    tandem: Tandem,
    settings: Settings,
    fill: Fill,
    mongo_database: MongoDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    untitled = [{"createdBy": str(user_id(0))} for _ in range(QUARANTINE_MAX + 1)]
    fill(sample(), {"tasks": untitled})

    refused = [tandem("adopt", "--json")]
    monkeypatch.setenv("STORE", "monty")
    refused.append(tandem("adopt", "--json"))

    for ended in refused:
        assert ended.code == 1
        assert f"at most {QUARANTINE_MAX}" in ended.view["error"]["message"]
    with MongoClient[Document](mongo_database.uri) as client:
        assert not [
            one for one in client[mongo_database.name].list_collection_names() if one.startswith("tandem")
        ]


def test_a_dry_run_names_the_next_command(
    tandem: Tandem, settings: Settings, fill: Fill, mongo_database: MongoDatabase
) -> None:
    fill(sample(), malformed())

    before = tandem("adopt", "--dry-run", "--from", mongo_database.name)
    asyncio.run(mark(settings, mongo_database))
    begun = tandem("adopt", "--dry-run")
    assert tandem("adopt", "--json").code == 1
    after = tandem("adopt", "--dry-run")

    assert "To take it over, type: tandem adopt --from " + mongo_database.name in one_line(before.out)
    assert "tandem admin grant EMAIL" in one_line(before.err)
    assert "To complete it, type: tandem adopt" in one_line(begun.out)
    assert "The adoption is complete" in one_line(after.out)
    assert "To take it over" not in one_line(begun.out + after.out)
    assert "Nobody administers" not in after.err


def one_line(text: str) -> str:
    """The text as if the terminal were endlessly wide, with commands as the documentation names them."""
    return " ".join(text.split()).replace(".venv/bin/tandem", "tandem")


async def mark(settings: Settings, database: MongoDatabase) -> None:
    """The first write of an adoption, twice."""
    given = read_settings(settings)
    async with originals_in(given, database.name) as originals:
        await make_room(given, originals)
        await make_room(given, originals)


def test_a_service_that_starts_in_the_first_moment_of_an_adoption_is_refused(
    settings: Settings, fill: Fill, mongo_database: MongoDatabase, tandem: Tandem
) -> None:
    fill(sample())
    asyncio.run(mark(settings, mongo_database))

    async def visit(_visit: Visit) -> None:
        raise AssertionError("it has started")

    with pytest.raises(StoreRefused, match="is not complete"):
        visited(settings, visit)
    diagnosis = tandem("doctor")
    assert diagnosis.code != 0
    assert "is not complete" in diagnosis.out


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


def test_a_service_does_not_touch_a_database_that_was_not_adopted(
    tandem: Tandem, settings: Settings, fill: Fill, mongo_database: MongoDatabase, start_command: StartCommand
) -> None:
    fill(sample())
    before = documents_of(mongo_database)

    for words in (("serve", "--port", "0"), ("migrate", "up")):
        process = start_command(*words, **settings)
        assert process.wait_ended() == 3
        assert "belongs to another service" in process.evidence()

    assert documents_of(mongo_database) == before


def test_a_database_of_tandem_itself_is_refused(tandem: Tandem, settings: Settings) -> None:
    assert tandem("migrate", "up").code == 0

    ended = tandem("adopt", "--json")

    assert ended.code == 1
    assert "belongs to Tandem already" in ended.view["error"]["message"]


@pytest.mark.parametrize("words", [("adopt",), ("adopt", "--dry-run")])
def test_a_database_of_another_shape_is_refused(
    tandem: Tandem, settings: Settings, fill: Fill, words: tuple[str, ...], mongo_database: MongoDatabase
) -> None:
    fill({"posts": [{"title": "x"}], "users": [{"login": "y"}]})
    before = documents_of(mongo_database)

    ended = tandem(*words, "--json")

    assert ended.code == 1
    assert "has no collection tasks" in ended.view["error"]["message"]
    assert documents_of(mongo_database) == before


def test_a_server_that_does_not_answer_is_reported_soon(
    tandem: Tandem, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:1/?replicaSet=rs0")
    begun = time.monotonic()

    ended = tandem("adopt", "--dry-run", "--json")

    assert (ended.code, time.monotonic() - begun < 15) == (3, True)


def test_an_adoption_needs_the_address_of_the_server(tandem: Tandem, data_dir: Path) -> None:
    ended = tandem("adopt", "--json")

    assert ended.code == 2
    assert "MONGODB_URI" in ended.view["error"]["message"]
