"""The real export of 527 issues, brought into two stores by the real command: once, again, and killed on the way."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.records.record import Record
from tests.integration.crash.service_client import ServiceClient
from tests.integration.crash.store_comparison import (
    Contents,
    Stores,
    differences,
    history_faults,
    read_contents,
    read_stores,
    undelivered,
)
from tests.integration.crash.tandem_process import ServiceProcess, TandemProcess
from tests.integration.crash.topologies import Topology, mongo_to_postgres, monty_to_postgres
from tests.real_exports import real_export
from tests.servers.mongo import MongoDatabase
from tests.servers.processes import wait_until

ISSUES = 527
TRASHED = 99
STATUSES = {"TODO": 51 + 6 + 3, "IN_PROGRESS": 8, "DONE": 360}
"""Of what is not in the trash."""
LABELS = 8
"""One for each kind of issue but the usual one."""
MARKED_SECONDS_MAX = 60.0
IMPORT_SECONDS_MAX = 60.0
StartCommand = Callable[..., TandemProcess]


@pytest.fixture
def real_file() -> Path:
    """The export; it is no part of the project, so a machine without it says so in the summary."""
    return real_export("beads-2025-12-24.jsonl")


@pytest.fixture
def start_command() -> Iterator[StartCommand]:
    """Starts commands on a topology, which end with the test."""
    started: list[TandemProcess] = []

    def start(topology: Topology, *arguments: str, as_json: bool = True) -> TandemProcess:
        process = TandemProcess(
            f"command-{len(started)}",
            arguments,
            environment=topology.environment,
            directory=topology.data_directory,
            as_json=as_json,
        )
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.kill()


OF_THE_SERVICE = {"users", "sessions", "roles"}
"""What a service makes that starts and signs somebody in, beside what was imported."""


def import_words(real_file: Path) -> Sequence[str]:
    return ("import", "--format", "beads", str(real_file))


@pytest.fixture(params=["monty", pytest.param("mongo", marks=pytest.mark.torture)])
def topology(request: pytest.FixtureRequest, data_directory: Path, prepared_postgres_url: str) -> Topology:
    """Two empty stores, the second of them PostgreSQL."""
    if request.param == "monty":
        return monty_to_postgres(data_directory, prepared_postgres_url)
    mongo: MongoDatabase = request.getfixturevalue("mongo_database")
    return mongo_to_postgres(data_directory, mongo, prepared_postgres_url)


async def imported(start_command: StartCommand, topology: Topology, real_file: Path) -> dict[str, int]:
    """Imports to the end; what became of the issues."""
    process = start_command(topology, *import_words(real_file))
    assert await asyncio.to_thread(process.wait_ended) == 0, process.log.read_text()
    counts: dict[str, int] = json.loads(process.said())["counts"]
    return {fate: count for fate, count in counts.items() if count}


async def mirrored(topology: Topology) -> Stores:
    """What both stores hold after a service has mirrored everything that still waited."""
    service = ServiceProcess("served", environment=topology.environment, directory=topology.data_directory)
    try:
        await asyncio.to_thread(service.start_ready)
        async with ServiceClient(service.url) as client:
            await client.sign_in()
            await client.wait_delivered(seconds_max=MARKED_SECONDS_MAX)
        assert await asyncio.to_thread(service.stop) == 0
    finally:
        service.kill()
    return await read_stores(topology)


def require_mirrored(stores: Stores) -> None:
    """Both stores are equal field by field, every version has its entry, nothing waits."""
    findings = [*differences(stores), *undelivered(stores.source), *history_faults(stores.source, "source")]
    assert findings == []


def lasting(stores: Stores) -> list[dict[str, Any]]:
    """What a later start of the service leaves as it is: everything but that somebody signed in."""
    return [
        {
            collection: {
                id_: record for id_, record in records.items() if record.get("collection") != "sessions"
            }
            for collection, records in contents.items()
            if collection != "sessions"
        }
        for contents in (stores.source, stores.target)
    ]


def essence(contents: Contents) -> dict[str, Any]:
    """What two imports of one file must agree in: everything but ids, numbers (of which a killed one wastes some), and
    when they ran.
    """
    names = {**contents["labels"], **contents["projects"]}
    keys = {id_: key_of(task) for id_, task in contents["tasks"].items()}
    own = (
        "id",
        "updatedAt",
        "deletedAt",
        "createdBy",
        "updatedBy",
        "externalKey",
        "projectId",
        "parentId",
        "labelIds",
        "displayId",
    )
    return {
        "tasks": {
            keys[id_]: {
                **{name: value for name, value in task.items() if name not in own},
                "project": names[task["projectId"]]["name"],
                "parent": keys.get(task["parentId"]),
                "labels": sorted(names[label]["name"] for label in task["labelIds"]),
            }
            for id_, task in contents["tasks"].items()
        },
        "labels": carried(contents),
        "projects": [project["name"] for project in contents["projects"].values()],
        "entries": Counter(
            (entry["collection"], entry["version"], entry["action"])
            for entry in contents["audit_logs"].values()
            if entry["collection"] not in OF_THE_SERVICE and entry["action"] != "CREATED"
        ),
    }


def carried(contents: Contents) -> list[str]:
    """The names of the labels that tasks have; a service that starts brings some of its own."""
    used = {label_id for task in contents["tasks"].values() for label_id in task["labelIds"]}
    return sorted(contents["labels"][label_id]["name"] for label_id in used)


def key_of(task: Record) -> str:
    """The issue's own name, the last part of the external key."""
    return str(task["externalKey"].rpartition(":")[2])


async def test_the_real_export_is_equal_in_both_stores_and_comes_once(
    real_file: Path, start_command: StartCommand, topology: Topology
) -> None:
    counts = await imported(start_command, topology, real_file)
    stores = await mirrored(topology)

    tasks = stores.target["tasks"].values()
    assert counts == {"created": ISSUES - TRASHED, "createdInTrash": TRASHED}
    assert (len(tasks), len(carried(stores.target)), len(stores.target["projects"])) == (ISSUES, LABELS, 1)
    assert sum(task["isDeleted"] for task in tasks) == TRASHED
    assert Counter(task["status"] for task in tasks if not task["isDeleted"]) == STATUSES
    assert all(task["deletedReason"] for task in tasks if task["isDeleted"])
    require_mirrored(stores)

    again = await imported(start_command, topology, real_file)

    assert again == {"unchanged": ISSUES}
    assert lasting(await mirrored(topology)) == lasting(stores)


@pytest.mark.parametrize(
    "topology", ["monty", pytest.param("mongo", marks=pytest.mark.torture)], indirect=True
)
async def test_an_import_that_was_killed_and_repeated_ends_as_if_it_had_not_been(
    real_file: Path, start_command: StartCommand, topology: Topology, tmp_path: Path
) -> None:
    undisturbed = monty_to_postgres(tmp_path, "embedded").having(STORE="monty")
    await imported(start_command, undisturbed, real_file)

    half_way = await killed_half_way(start_command, topology, real_file)
    counts = await imported(start_command, topology, real_file)
    stores = await mirrored(topology)

    assert counts["unchanged"] == half_way
    assert sum(counts.values()) == ISSUES
    require_mirrored(stores)
    reference = essence(await read_contents(undisturbed.source()))
    assert essence(stores.source) == reference
    assert essence(stores.target) == reference


async def killed_half_way(start_command: StartCommand, topology: Topology, real_file: Path) -> int:
    """SIGKILLs an import that has told of its first tasks; how many the source holds then."""
    process = start_command(topology, *import_words(real_file), as_json=False)
    await asyncio.to_thread(
        wait_until,
        lambda: "Imported: 100 of" in process.log.read_text() or not process.is_running,
        seconds_max=IMPORT_SECONDS_MAX,
        reason="nothing was imported",
    )
    process.kill()
    held = len((await read_contents(topology.source()))["tasks"])
    assert 0 < held < ISSUES, f"the import was not half way: {held} tasks\n{process.log.read_text()}"
    return held
