"""Several people change one record at the same moment: one wins each time, and the stores agree on who."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from adapters.records.specs import AUDIT_LOGS
from tests.integration.crash.ledger import Ledger, View
from tests.integration.crash.service_client import ServiceClient
from tests.integration.crash.store_comparison import differences, read_stores, require_sound
from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.crash.topologies import Topology, mongo_to_postgres, monty_to_postgres
from tests.servers.mongo import MongoDatabase
from tests.servers.report import note_figures

CLIENTS = 8
MARKED_SECONDS_MAX = 40.0

NewService = Callable[[Topology], ServiceProcess]


@pytest.mark.parametrize("edits", [200, pytest.param(1_000, marks=pytest.mark.torture)])
async def test_editors_of_one_record_never_leave_the_stores_apart(
    edits: int, data_directory: Path, prepared_postgres_url: str, new_service: NewService
) -> None:
    topology = monty_to_postgres(data_directory, prepared_postgres_url)
    await _edit_and_compare(topology, new_service(topology), edits=edits)


@pytest.mark.parametrize("edits", [pytest.param(1_000, marks=pytest.mark.torture)])
async def test_editors_of_one_record_over_mongodb_never_leave_the_stores_apart(
    edits: int,
    data_directory: Path,
    mongo_database: MongoDatabase,
    prepared_postgres_url: str,
    new_service: NewService,
) -> None:
    topology = mongo_to_postgres(data_directory, mongo_database, prepared_postgres_url)
    await _edit_and_compare(topology, new_service(topology), edits=edits)


async def _edit_and_compare(topology: Topology, service: ServiceProcess, *, edits: int) -> None:
    """Half of the rounds name the version they saw, half do not."""
    await asyncio.to_thread(service.start_ready)
    ledger = Ledger()
    statuses: Counter[int] = Counter()
    rounds = -(-edits // CLIENTS)
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        created = await client.ask("POST", "/v1/projects", {"name": "everybody's"})
        project = ledger.note("projects", created)
        for number in range(rounds):
            if number % 2:
                project = await _careful_round(
                    client, project, number=number, ledger=ledger, statuses=statuses
                )
            else:
                project = await _careless_round(
                    client, project, number=number, ledger=ledger, statuses=statuses
                )
        await client.wait_delivered(seconds_max=MARKED_SECONDS_MAX)
        assert await asyncio.to_thread(service.stop) == 0
    stores = await read_stores(topology)
    note_figures(
        f"concurrent editors ({topology.name})",
        edits=rounds * CLIENTS,
        answers=dict(sorted(statuses.items())),
        final_version=project["version"],
        differences=len(list(differences(stores))),
    )
    require_sound(stores, ledger)
    entries = [e for e in stores.target[AUDIT_LOGS.collection].values() if e["entityId"] == project["id"]]
    assert len(entries) == project["version"] == 1 + statuses[200]


async def _careful_round(
    client: ServiceClient, project: View, *, number: int, ledger: Ledger, statuses: Counter[int]
) -> View:
    """All name the version they saw: exactly one is served, the others are told the version that won."""
    answers = await _all_at_once(client, project, number=number, tag=f'"{project["version"]}"')
    statuses.update(answer.status_code for answer in answers)
    won = [answer for answer in answers if answer.status_code == 200]
    beaten = [answer for answer in answers if answer.status_code == 412]
    assert (len(won), len(beaten)) == (1, CLIENTS - 1)
    assert {answer.json()["currentVersion"] for answer in beaten} == {project["version"] + 1}
    return ledger.note("projects", won[0])


async def _careless_round(
    client: ServiceClient, project: View, *, number: int, ledger: Ledger, statuses: Counter[int]
) -> View:
    """None names a version: some come one after the other, the others are refused; no two make the same version."""
    answers = await _all_at_once(client, project, number=number, tag=None)
    statuses.update(answer.status_code for answer in answers)
    won = [ledger.note("projects", answer) for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 409]
    assert len(won) + len(refused) == CLIENTS
    versions = sorted(view["version"] for view in won)
    first = project["version"] + 1
    assert versions == list(range(first, first + len(won)))
    assert won, "everybody was refused"
    return max(won, key=lambda view: int(view["version"]))


async def _all_at_once(
    client: ServiceClient, project: View, *, number: int, tag: str | None
) -> list[httpx.Response]:
    headers = {} if tag is None else {"if-match": tag}
    path = f"/v1/projects/{project['id']}"
    edits = (
        client.ask("PATCH", path, {"description": f"round {number} by client {index}"}, headers)
        for index in range(CLIENTS)
    )
    return list(await asyncio.gather(*edits))
