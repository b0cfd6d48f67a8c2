"""A second service on the same data is turned away; a service that is told to stop finishes what it has promised."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.integration.crash.ledger import Ledger
from tests.integration.crash.running_editors import running_editors
from tests.integration.crash.service_client import ServiceClient
from tests.integration.crash.store_comparison import missing, read_contents, read_stores, require_sound
from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.crash.topologies import Topology, monty_to_postgres
from tests.servers.report import note_figures

EDITORS = 4
WORK_SECONDS_MIN, WORK_SECONDS_MAX = 0.5, 1.5
MARKED_SECONDS_MAX = 40.0

NewService = Callable[[Topology], ServiceProcess]


async def test_a_second_service_on_the_same_data_is_refused_and_harms_nothing(
    data_directory: Path, prepared_postgres_url: str, new_service: NewService
) -> None:
    topology = monty_to_postgres(data_directory, prepared_postgres_url)
    first, second = new_service(topology), new_service(topology)
    await asyncio.to_thread(first.start_ready)
    ledger = Ledger()
    async with ServiceClient(first.url) as client:
        await client.sign_in()
        ledger.note("projects", await client.ask("POST", "/v1/projects", {"name": "before"}))
        second.start()
        holder = first.process_id
        assert await asyncio.to_thread(second.wait_ended) == 3
        error = json.loads(second.said())["error"]
        assert error["code"] == "store_refused"
        assert f"in use by process {holder}" in error["message"]
        ledger.note("projects", await client.ask("POST", "/v1/projects", {"name": "after"}))
        await client.wait_delivered(seconds_max=MARKED_SECONDS_MAX)
        assert await asyncio.to_thread(first.stop) == 0
    require_sound(await read_stores(topology), ledger)


@pytest.mark.parametrize("stops", [1, pytest.param(10, marks=pytest.mark.torture)])
async def test_a_service_that_is_told_to_stop_under_load_keeps_all_it_acknowledged(
    stops: int, seed: int, data_directory: Path, prepared_postgres_url: str, new_service: NewService
) -> None:
    topology = monty_to_postgres(data_directory, prepared_postgres_url)
    service = new_service(topology)
    random = Random(seed)
    ledger = Ledger()
    await asyncio.to_thread(service.start_ready)
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        async with running_editors(client, editors=EDITORS, random=random, ledger=ledger) as running:
            for _ in range(stops):
                await asyncio.sleep(random.uniform(WORK_SECONDS_MIN, WORK_SECONDS_MAX))
                assert await asyncio.to_thread(service.stop) == 0
                # Before any repair: what was acknowledged is in the source, whatever else is on its way.
                contents = await read_contents(topology.source())
                assert not list(missing(ledger, contents, "source"))
                await asyncio.to_thread(service.start_ready)
                running.require_no_failure()
        delivered_seconds = await client.wait_delivered(seconds_max=MARKED_SECONDS_MAX)
        assert await asyncio.to_thread(service.stop) == 0
    note_figures(
        "service told to stop",
        seed=seed,
        stops=stops,
        acknowledged_writes=ledger.writes,
        lost_answers=client.lost,
        delivered_after=f"{delivered_seconds:.1f} s",
    )
    require_sound(await read_stores(topology), ledger)
