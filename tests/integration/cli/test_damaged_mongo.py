"""Somebody removes indexes of MongoDB, or damages a document, under the service: probes and commands name it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from bson import Decimal128
from pymongo import MongoClient
from pymongo.database import Database

from tests.integration.cli.conftest import StartCommand, StartService
from tests.integration.crash.tandem_process import ServiceProcess, TandemProcess
from tests.servers.mongo import MongoDatabase
from tests.servers.processes import wait_until

Raw = Database[dict[str, Any]]
MISSING = "unique key labels_name of the collection labels is missing"


@pytest.fixture
def variables(mongo_database: MongoDatabase) -> dict[str, str]:
    return {"STORE": "mongo", "MONGODB_URI": mongo_database.uri, "DB_NAME": mongo_database.name}


@pytest.fixture
def raw(mongo_database: MongoDatabase) -> Iterator[Raw]:
    with MongoClient[dict[str, Any]](mongo_database.uri) as client:
        yield client[mongo_database.name]


def _db(service: ServiceProcess) -> dict[str, Any]:
    answer = httpx.get(f"{service.url}/v1/health", trust_env=False).json()
    return dict(answer["components"]["db"])


def _until(condition: Callable[[], bool]) -> None:
    wait_until(condition, seconds_max=20, reason="health does not say so")


def _checks(doctor: TandemProcess) -> dict[str, Any]:
    return {check["subject"]: check for check in json.loads(doctor.said())["checks"]}


def _said(command: TandemProcess) -> str:
    return " ".join((command.said() + command.log.read_text()).split())


def test_a_dropped_unique_key_is_named_made_anew_and_refuses_a_start_beside_duplicates(
    variables: dict[str, str], raw: Raw, start_service: StartService, start_command: StartCommand
) -> None:
    service = start_service(**variables)
    service.wait_ready()
    raw.labels.drop_index("labels_name")
    _until(lambda: MISSING in (_db(service).get("detail") or ""))
    assert _db(service)["status"] == "DEGRADED"
    doctor = start_command("doctor", **variables)
    assert doctor.wait_ended() == 1
    schema = _checks(doctor)["schema"]
    assert (MISSING in schema["message"], schema["remedy"]) == (True, "Type: tandem migrate up")
    status = start_command("migrate", "status", **variables)
    assert (status.wait_ended(), MISSING in status.said()) == (1, True)
    assert start_command("migrate", "up", **variables).wait_ended() == 0
    assert "labels_name" in raw.labels.index_information()
    _until(lambda: _db(service)["status"] == "UP")

    raw.labels.drop_index("labels_name")
    copied = raw.labels.find_one()
    assert copied is not None
    ids = [copied["_id"], "f" * 24]
    raw.labels.insert_one({**copied, "_id": ids[1]})
    up = start_command("migrate", "up", as_json=False, **variables)
    assert (up.wait_ended(), all(id in _said(up) for id in ids)) == (3, True)
    assert service.stop() == 0
    refused = start_service(**variables)
    assert refused.wait_ended() == 3
    said = _said(refused)
    for words in (
        *ids,
        "labels_name of the collection labels",
        "deleteOne",
        "tandem migrate up",
        "Traceback",
    ):
        assert (words, words in said) == (words, words != "Traceback")

    raw.labels.delete_one({"_id": ids[1]})
    service = start_service(**variables)
    service.wait_ready()
    assert "labels_name" in raw.labels.index_information()
    assert _db(service)["status"] == "UP"


def test_a_damaged_document_is_named_by_doctor_with_and_without_the_service(
    variables: dict[str, str], raw: Raw, start_service: StartService, start_command: StartCommand
) -> None:
    service = start_service(**variables)
    service.wait_ready()
    damaged = raw.labels.find_one()
    assert damaged is not None
    validation = raw.labels.options()
    raw.command("collMod", "labels", validator={})
    raw.labels.update_one({"_id": damaged["_id"]}, {"$set": {"name": Decimal128("1.5")}})
    raw.command("collMod", "labels", validator=validation["validator"])
    for is_running in (True, False):
        doctor = start_command("doctor", **variables)
        assert (is_running, doctor.wait_ended()) == (is_running, 1)
        records = _checks(doctor)["records"]
        assert (damaged["_id"] in records["message"], "Restore" in records["remedy"]) == (True, True)
        if is_running:
            assert service.stop() == 0
