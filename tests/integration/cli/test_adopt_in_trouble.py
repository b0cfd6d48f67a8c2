"""`tandem adopt` where it is repeated, interrupted or refused: what it says, and what it leaves as it was."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from adapters.adoption.quarantine import QUARANTINE_MAX
from entrypoints.composition.adoption import make_room, originals_in
from entrypoints.composition.failures import StoreRefused
from entrypoints.composition.settings import read_settings
from tests.integration.cli.adopted_service import Visit, documents_of, stored_in, visited
from tests.integration.cli.conftest import Fill, Settings, StartCommand
from tests.servers.mongo import MongoDatabase
from tests.servers.processes import wait_until
from tests.unit.entrypoints.cli.conftest import Tandem
from tools.todo_database import duplicates, malformed, sample
from tools.todo_documents import user_id

Document = dict[str, Any]
ADOPTED_SECONDS_MAX = 60.0


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
    assert len(stored_in({**settings, **dual, "STORE": "postgres"})["tasks"]) == len(sample()["tasks"])
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
