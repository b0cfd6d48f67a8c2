"""A stored record that nobody can read: lists leave it out, whoever asks for it is told, and health names it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import psycopg
import pytest
from bson import Decimal128
from pymongo import MongoClient

from adapters.observability.recent_errors import TRIAL_SECONDS
from tests.integration.journeys.service import JourneyService, running
from tests.integration.journeys.topologies import SINGLE, variables_of

Damage = Callable[[str, str, dict[str, Any]], None]
"""Replaces fields of the document of a collection and an id; a value of None removes the field."""


@pytest.fixture(params=SINGLE)
def variables(request: pytest.FixtureRequest) -> Any:
    with variables_of(request.param, request) as made:
        yield made


@pytest.fixture
async def service(variables: dict[str, str]) -> AsyncIterator[JourneyService]:
    async with running(variables) as started:
        yield started


@pytest.fixture
def damage(variables: dict[str, str]) -> Damage:
    """As a program damages a document that writes past Tandem and its rules."""

    def damage(collection: str, record_id: str, fields: dict[str, Any]) -> None:
        if variables["STORE"] == "mongo":
            with MongoClient[dict[str, Any]](variables["MONGODB_URI"]) as client:
                database = client[variables["DB_NAME"]]
                database.command("collMod", collection, validator={})
                change: dict[str, Any] = {
                    "$set": {name: value for name, value in fields.items() if value is not None},
                    "$unset": {name: "" for name, value in fields.items() if value is None},
                }
                used = {operator: what for operator, what in change.items() if what}
                assert database[collection].update_one({"_id": record_id}, used).modified_count
        elif variables["STORE"] == "monty":
            with closing(sqlite3.connect(Path(variables["DATA_DIR"]) / "monty" / "tandem.sqlite")) as file:
                row = f"SELECT doc FROM {collection} WHERE id = ?"
                (data,) = file.execute(row, (record_id,)).fetchone()
                document = {**bson.decode(data), **fields}
                changed = bson.encode({name: value for name, value in document.items() if value is not None})
                file.execute(f"UPDATE {collection} SET doc = ? WHERE id = ?", (changed, record_id))
                file.commit()
        else:
            with psycopg.connect(variables["POSTGRES_URL"], autocommit=True) as connection:
                update = f"UPDATE postgres_{collection} SET label_ids = '[5]' WHERE mongo_id = %s"
                assert connection.execute(update, [record_id]).rowcount == 1

    return damage


async def _tasks(service: JourneyService) -> list[str]:
    made = [await service.view(service.admin, "POST", "/v1/tasks", {"title": f"T{n}"}) for n in range(5)]
    return [str(task["id"]) for task in made]


async def _db(service: JourneyService) -> dict[str, Any]:
    answer = await service.call(None, "GET", "/v1/health")
    return dict(answer.json()["components"]["db"])


async def test_a_damaged_record_is_left_out_of_lists_and_named_everywhere(
    service: JourneyService, damage: Damage
) -> None:
    ids = await _tasks(service)
    damage("tasks", ids[2], {"title": None})

    for path in ("/v1/tasks", "/v1/tasks?limit=2", "/v1/tasks?sort=-createdAt", "/v1/tasks?limit=1"):
        shown = await service.items(service.admin, path)
        assert (path, sorted(one["id"] for one in shown)) == (path, sorted({*ids} - {ids[2]}))
    for method, body in (("GET", None), ("PATCH", {"title": "Mended"}), ("DELETE", None)):
        answer = await service.call(service.admin, method, f"/v1/tasks/{ids[2]}", body)
        assert (method, answer.status_code) == (method, 503)
        assert (ids[2] in answer.text, "Restore it from a copy" in answer.text) == (True, True)
    db = await _db(service)
    assert (db["status"], f"tasks {ids[2]}" in db["detail"]) == ("DEGRADED", True)
    metrics = service.stack.render_metrics()
    assert f'tandem_damaged_records{{store="{service.stack.source.name}"}} 1\n' in metrics
    (found,) = [one for one in await service.stack.schema().waiting() if one.unfit]
    assert (found.collection, found.unfit_ids) == ("tasks", (ids[2],))


@pytest.mark.parametrize("variables", ["monty", "mongo"], indirect=True)
@pytest.mark.parametrize(
    "fields",
    [
        {"name": Decimal128("1.5")},
        {"name": None},
        {"version": "seven"},
        {"createdAt": "yesterday"},
        {"isDeleted": False, "updatedBy": {"id": 5}},
    ],
    ids=["decimal", "missing", "text as version", "text as instant", "object as text"],
)
async def test_damage_of_every_kind_stops_no_other_record(
    service: JourneyService, damage: Damage, fields: dict[str, Any]
) -> None:
    labels = [
        await service.view(service.admin, "POST", "/v1/labels", {"name": f"L{n}", "color": "#aabbcc"})
        for n in range(3)
    ]
    task = await service.view(
        service.admin, "POST", "/v1/tasks", {"title": "T", "labelIds": [one["id"] for one in labels]}
    )
    listed = len(await service.items(service.admin, "/v1/labels"))
    damage("labels", labels[1]["id"], fields)

    for path in ("/v1/labels", "/v1/labels?sort=name", "/v1/labels?sort=-createdAt&limit=1"):
        shown = await service.items(service.admin, path)
        names = {one["name"] for one in shown}
        assert (path, len(shown), names & {"L0", "L1", "L2"}) == (path, listed - 1, {"L0", "L2"})
    answer = await service.call(service.admin, "GET", f"/v1/labels/{labels[1]['id']}")
    assert (answer.status_code, labels[1]["id"] in answer.text) == (503, True)
    assert (await service.call(service.admin, "GET", f"/v1/tasks/{task['id']}")).status_code == 200
    assert (await service.call(service.admin, "GET", "/v1/tasks")).status_code == 200
    new = await service.call(service.admin, "POST", "/v1/labels", {"name": "New", "color": "#aabbcc"})
    assert new.status_code == 201
    assert (await _db(service))["status"] == "DEGRADED"


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_document_with_an_id_of_another_kind_stops_no_list_and_is_named(
    service: JourneyService, variables: dict[str, str]
) -> None:
    ids = await _tasks(service)
    with MongoClient[dict[str, Any]](variables["MONGODB_URI"]) as client:
        database = client[variables["DB_NAME"]]
        database.command("collMod", "tasks", validator={})
        document = database.tasks.find_one({"_id": ids[0]})
        assert document is not None
        del document["displayId"]
        database.tasks.insert_one({**document, "_id": 5})

    for path in ("/v1/tasks", "/v1/tasks?limit=2&sort=-createdAt"):
        shown = await service.items(service.admin, path)
        assert (path, sorted(one["id"] for one in shown)) == (path, sorted(ids))
    db = await _db(service)
    assert (db["status"], "tasks (5)" in db["detail"]) == ("DEGRADED", True)
    (found,) = [one for one in await service.stack.schema().waiting() if one.unfit]
    assert found.unfit_ids == ("(5)",)


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_restored_record_is_listed_again_and_health_is_up(
    service: JourneyService, variables: dict[str, str], damage: Damage
) -> None:
    ids = await _tasks(service)
    with MongoClient[dict[str, Any]](variables["MONGODB_URI"]) as client:
        database = client[variables["DB_NAME"]]
        intact = database.tasks.find_one({"_id": ids[1]})
        assert intact is not None
        damage("tasks", ids[1], {"title": None})
        assert len(await service.items(service.admin, "/v1/tasks")) == len(ids) - 1
        assert f"tasks {ids[1]}" in (await _db(service))["detail"]
        database.tasks.replace_one({"_id": ids[1]}, intact)
    assert len(await service.items(service.admin, "/v1/tasks")) == len(ids)
    await asyncio.sleep(TRIAL_SECONDS)
    assert "damaged" not in ((await _db(service)).get("detail") or "")


@pytest.mark.parametrize("variables", ["mongo"], indirect=True)
async def test_a_damaged_entry_is_left_out_of_the_history(service: JourneyService, damage: Damage) -> None:
    (task, *_) = await _tasks(service)
    await service.view(service.admin, "PATCH", f"/v1/tasks/{task}", {"title": "Two"})
    path = f"/v1/tasks/{task}/audit"
    entries = await service.items(service.admin, path)
    assert len(entries) == 2
    damage("audit_logs", entries[0]["id"], {"actorId": 7})
    assert [one["id"] for one in await service.items(service.admin, path)] == [entries[1]["id"]]
    assert entries[0]["id"] in (await _db(service))["detail"]
