"""A MongoDB database that somebody drops: no read pretends that nothing is there, and every message helps."""

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient

from adapters.ownership.kept_record import LOOK_SECONDS
from tests.integration.cli.conftest import Settings, StartService
from tests.unit.entrypoints.cli.conftest import Tandem

SERVED_BEFORE = "is empty, although this data directory has served an installation before"


@pytest.fixture
def drop(settings: Settings) -> Callable[[], None]:
    """Drops the database of the settings."""

    def drop() -> None:
        with MongoClient(settings["MONGODB_URI"]) as client:  # type: ignore[var-annotated]
            client.drop_database(settings["DB_NAME"])

    return drop


def asked(url: str, path: str, token: str) -> tuple[int, dict[str, Any]]:
    """Status and document of a GET."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_reads_of_a_dropped_database_are_refused_and_name_what_helps(
    settings: Settings, tandem: Tandem, start_service: StartService, drop: Callable[[], None]
) -> None:
    assert tandem("demo").code == 0
    token = tandem("admin", "token", "demo@example.com").out.strip()
    url = start_service(**settings).wait_ready()["url"]
    status, found = asked(url, "/v1/tasks?limit=1", token)
    assert status == 200
    (task,) = found["items"]
    paths = [f"/v1/tasks/{task['id']}", "/v1/tasks", "/v1/users/me", "/v1/admin/trash", "/v1/labels"]

    drop()

    time.sleep(LOOK_SECONDS)
    answers = {path: asked(url, path, token) for path in paths}
    assert {path: status for path, (status, _) in answers.items()} == dict.fromkeys(paths, 503)
    assert asked(url, "/v1/health", token)[0] == 503
    for text in (*(str(answer["detail"]) for _, answer in answers.values()), tandem("doctor").out):
        assert "has lost its control record" in text
        assert "Restore a copy of it, then start Tandem again: tandem serve" in " ".join(text.split())


def test_a_dropped_database_is_to_be_restored(
    settings: Settings, data_dir: Path, tandem: Tandem, drop: Callable[[], None]
) -> None:
    assert settings["STORE"] == "mongo"
    data_dir.mkdir()  # as a service does when it starts
    assert tandem("demo").code == 0
    drop()
    for words in (("doctor",), ("sync", "status"), ("config", "check")):
        ended = tandem(*words)
        text = " ".join((ended.out + ended.err).split())
        assert ended.code != 0, words
        assert SERVED_BEFORE in text, words
        assert "No store belongs to an installation" not in text, words
