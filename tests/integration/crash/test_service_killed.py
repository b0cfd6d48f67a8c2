"""The service is killed under load: no acknowledged write is lost, no repeated request is carried out twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.integration.crash.embedded_server import ServersOwnPostgres
from tests.integration.crash.ledger import Ledger
from tests.integration.crash.random_kills import RandomKills
from tests.integration.crash.running_editors import running_editors
from tests.integration.crash.service_client import ServiceClient
from tests.integration.crash.store_comparison import attempted, read_stores, require_sound
from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.crash.topologies import Topology, mongo_to_postgres, monty_to_embedded
from tests.servers.mongo import MongoDatabase, StandInMongoServer
from tests.servers.report import note_figures

KILLS, KILLS_LONG = 3, 30
EDITORS = 4
MARKED_SECONDS_MAX = 60.0

NewService = Callable[[Topology], ServiceProcess]


@pytest.mark.parametrize("kills", [KILLS, pytest.param(KILLS_LONG, marks=pytest.mark.torture)])
async def test_a_killed_service_on_its_own_stores_loses_nothing(
    kills: int,
    seed: int,
    data_directory: Path,
    new_service: NewService,
    servers_own_postgres: ServersOwnPostgres,
) -> None:
    topology = monty_to_embedded(data_directory)
    service = new_service(topology)
    kills_at_random = RandomKills(service, random=Random(seed), own_postgres=servers_own_postgres)
    await _kill_and_compare(topology, service, kills_at_random, kills=kills, seed=seed)


@pytest.mark.torture
async def test_a_killed_service_over_mongodb_loses_nothing(
    seed: int,
    data_directory: Path,
    own_mongo_server: StandInMongoServer,
    postgres_url: str,
    new_service: NewService,
) -> None:
    topology = mongo_to_postgres(data_directory, MongoDatabase(own_mongo_server.uri), postgres_url)
    service = new_service(topology)
    kills_at_random = RandomKills(service, random=Random(seed))
    await _kill_and_compare(topology, service, kills_at_random, kills=KILLS_LONG, seed=seed)


async def _kill_and_compare(
    topology: Topology, service: ServiceProcess, kills_at_random: RandomKills, *, kills: int, seed: int
) -> None:
    ledger = Ledger()
    await kills_at_random.ensure_running()
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        async with running_editors(client, editors=EDITORS, random=Random(seed), ledger=ledger) as running:
            for _ in range(kills):
                await kills_at_random.kill_once()
                running.require_no_failure()
            await kills_at_random.ensure_running()
        delivered_seconds = await client.wait_delivered(seconds_max=MARKED_SECONDS_MAX)
        assert await asyncio.to_thread(service.stop) == 0
    note_figures(
        f"service killed ({topology.name})",
        seed=seed,
        kills=dict(kills_at_random.counts),
        acknowledged_writes=ledger.writes,
        lost_answers=client.lost,
        replayed=client.replayed,
        delivered_after=f"{delivered_seconds:.1f} s",
    )
    stores = await read_stores(topology)
    require_sound(stores, ledger)
    assert not list(attempted(stores.source)), "an outage was counted against a record"
