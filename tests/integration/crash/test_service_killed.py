"""The service dies by SIGKILL while people work: nothing acknowledged is lost, nothing repeated is done twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.integration.crash.arrangements import Arrangement, mongo_to_postgres, monty_to_embedded
from tests.integration.crash.crew import crew_at_work
from tests.integration.crash.embedded_server import ServersOwnPostgres
from tests.integration.crash.figures import note_figures
from tests.integration.crash.killed_service import MortalService
from tests.integration.crash.ledger import Ledger
from tests.integration.crash.service_client import ServiceClient
from tests.integration.crash.store_comparison import attempted, read_stores, require_sound
from tests.integration.crash.tandem_process import ServiceProcess
from tests.servers.mongo import MongoDatabase, StandInMongoServer

KILLS, KILLS_LONG = 5, 30
EDITORS = 4
MARKED_SECONDS_MAX = 60.0

NewService = Callable[[Arrangement], ServiceProcess]


@pytest.mark.parametrize("kills", [KILLS, pytest.param(KILLS_LONG, marks=pytest.mark.torture)])
async def test_a_killed_service_on_its_own_stores_loses_nothing(
    kills: int,
    seed: int,
    data_directory: Path,
    new_service: NewService,
    servers_own_postgres: ServersOwnPostgres,
) -> None:
    arrangement = monty_to_embedded(data_directory)
    service = new_service(arrangement)
    mortal = MortalService(service, random=Random(seed), own_postgres=servers_own_postgres)
    await _kill_and_compare(arrangement, service, mortal, kills=kills, seed=seed)


@pytest.mark.torture
async def test_a_killed_service_over_mongodb_loses_nothing(
    seed: int,
    data_directory: Path,
    own_mongo_server: StandInMongoServer,
    postgres_url: str,
    new_service: NewService,
) -> None:
    arrangement = mongo_to_postgres(data_directory, MongoDatabase(own_mongo_server.uri), postgres_url)
    service = new_service(arrangement)
    mortal = MortalService(service, random=Random(seed))
    await _kill_and_compare(arrangement, service, mortal, kills=KILLS_LONG, seed=seed)


async def _kill_and_compare(
    arrangement: Arrangement, service: ServiceProcess, mortal: MortalService, *, kills: int, seed: int
) -> None:
    ledger = Ledger()
    await mortal.rise()
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        async with crew_at_work(client, editors=EDITORS, random=Random(seed), ledger=ledger) as crew:
            for _ in range(kills):
                await mortal.die()
                crew.require_at_work()
            await mortal.rise()
        delivered_seconds = await client.wait_delivered(seconds_max=MARKED_SECONDS_MAX)
        assert await asyncio.to_thread(service.stop) == 0
    note_figures(
        f"service killed ({arrangement.name})",
        seed=seed,
        kills=dict(mortal.deaths),
        acknowledged_writes=ledger.writes,
        lost_answers=client.lost,
        replayed=client.replayed,
        delivered_after=f"{delivered_seconds:.1f} s",
    )
    stores = await read_stores(arrangement)
    require_sound(stores, ledger)
    assert not list(attempted(stores.source)), "an outage was counted against a record"
