"""The service dies by SIGKILL at random moments while people work: nothing acknowledged is lost, nothing is done twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.integration.crash.arrangements import Arrangement, mongo_to_postgres, monty_to_embedded
from tests.integration.crash.embedded_server import ServersOwnPostgres
from tests.integration.crash.figures import note_figures
from tests.integration.crash.killed_service import work_while_killed
from tests.integration.crash.ledger import Ledger
from tests.integration.crash.service_client import ServiceClient
from tests.integration.crash.store_comparison import Stores, attempted, read_contents, require_sound
from tests.integration.crash.tandem_process import ServiceProcess
from tests.servers.mongo import StandInMongoServer, MongoDatabase

KILLS, KILLS_LONG = 5, 30
SETTLED_SECONDS_MAX = 60.0

NewService = Callable[[Arrangement], ServiceProcess]
kills = pytest.mark.parametrize("kills", [KILLS, pytest.param(KILLS_LONG, marks=pytest.mark.torture)])
kills_long = pytest.mark.parametrize("kills", [pytest.param(KILLS_LONG, marks=pytest.mark.torture)])


@kills
async def test_a_killed_service_on_its_own_stores_loses_nothing(
    kills: int,
    seed: int,
    data_directory: Path,
    new_service: NewService,
    servers_own_postgres: ServersOwnPostgres,
) -> None:
    arrangement = monty_to_embedded(data_directory)
    service = new_service(arrangement)
    await _kill_and_compare(arrangement, service, kills=kills, seed=seed)


@kills_long
async def test_a_killed_service_over_mongodb_loses_nothing(
    kills: int, seed: int, data_directory: Path, mongo_database: MongoDatabase, postgres_url: str, new_service: NewService
) -> None:
    arrangement = mongo_to_postgres(data_directory, mongo_database, postgres_url)
    await _kill_and_compare(arrangement, new_service(arrangement), kills=kills, seed=seed)


async def _kill_and_compare(
    arrangement: Arrangement, service: ServiceProcess, *, kills: int, seed: int
) -> None:
    ledger = Ledger()
    async with ServiceClient(service.url) as client:
        deaths = await work_while_killed(service, client, kills=kills, random=Random(seed), ledger=ledger)
        settled_seconds = await client.wait_settled(seconds_max=SETTLED_SECONDS_MAX)
        assert await asyncio.to_thread(service.stop) == 0
    stores = Stores(await read_contents(arrangement.source()), await read_contents(arrangement.target()))
    note_figures(
        "service killed",
        seed=seed,
        kills=len(deaths),
        of_them_at_start=sum(death.moment == "start" for death in deaths),
        acknowledged_writes=ledger.writes,
        lost_answers=client.lost,
        replayed=client.replayed,
        settled_after=f"{settled_seconds:.1f} s",
    )
    require_sound(stores, ledger)
    assert not list(attempted(stores.source))
