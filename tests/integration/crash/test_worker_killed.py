"""A worker dies between taking entries up and noting them as mirrored: another finishes, nothing is doubled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import psycopg
import pytest

from adapters.dual_write.lease import LEASE_ID
from adapters.records.criteria import Equals, Question
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, CONTROL
from domain.audit import SyncStatus
from tests.integration.crash.ledger import Ledger
from tests.integration.crash.running_editors import running_editors
from tests.integration.crash.service_client import ServiceClient
from tests.integration.crash.store_comparison import attempted, read_stores, require_sound
from tests.integration.crash.tandem_process import ServiceProcess, WorkerProcess
from tests.integration.crash.topologies import Topology, mongo_to_postgres
from tests.servers.mongo import MongoDatabase, start_secantus
from tests.servers.processes import wait_until
from tests.servers.report import note_figures

WORKERS = 2
EDITORS = 3
TRANSACTION_SECONDS = 12.0
"""After this the stand-in ends the open transaction of a dead worker, whose lease runs out before; MongoDB takes a
minute.
"""
CAUGHT_SECONDS_MAX = 90.0
WAITING_MAX = 5_000
AFTERTHOUGHT_SECONDS_MAX = 0.05
MARKED_SECONDS_MAX = 90.0

NewService = Callable[[Topology], ServiceProcess]
NewWorker = Callable[[Topology], WorkerProcess]


@pytest.fixture
def mongo_uri(data_directory: Path) -> Iterator[str]:
    """A server that ends the transactions of dead clients soon."""
    server = start_secantus(
        data_directory / "mongo", is_durable=True, transaction_seconds=TRANSACTION_SECONDS
    )
    yield server.uri
    server.close()


@pytest.mark.alone
@pytest.mark.parametrize("kills", [1, pytest.param(12, marks=pytest.mark.torture)])
async def test_workers_killed_between_taking_up_and_noting_leave_nothing_undone_and_nothing_doubled(
    kills: int,
    seed: int,
    data_directory: Path,
    mongo_uri: str,
    postgres_url: str,
    new_service: NewService,
    new_worker: NewWorker,
) -> None:
    topology = mongo_to_postgres(data_directory, MongoDatabase(mongo_uri), postgres_url)
    # The service leaves its mirror alone, so that all of it is the workers' work.
    service = new_service(topology.having(DUAL_WRITE_ENABLED="false"))
    relaying = topology.having(DUAL_WRITE_MODE="relay")
    random = Random(seed)
    ledger = Ledger()
    caught = 0
    await asyncio.to_thread(service.start_ready)
    async with _opened(topology.source()) as source, ServiceClient(service.url) as client:
        await client.sign_in()
        workers = [_started(new_worker, relaying) for _ in range(WORKERS)]
        async with running_editors(client, editors=EDITORS, random=random, ledger=ledger) as running:
            for _ in range(kills):
                victim = await _holder_at_work(source, workers, postgres_url=postgres_url)
                await asyncio.sleep(random.uniform(0, AFTERTHOUGHT_SECONDS_MAX))
                await asyncio.to_thread(victim.kill)
                workers.remove(victim)
                caught += await _applied_and_not_noted(source, postgres_url)
                workers.append(_started(new_worker, relaying))
                running.require_no_failure()
        delivered_seconds = await client.wait_delivered(
            seconds_max=MARKED_SECONDS_MAX, evidence=lambda: _evidence(workers)
        )
        for worker in workers:
            await asyncio.to_thread(worker.wait_ready)
            assert await asyncio.to_thread(worker.stop) == 0
        assert await asyncio.to_thread(service.stop) == 0
    note_figures(
        "worker killed",
        seed=seed,
        kills=kills,
        acknowledged_writes=ledger.writes,
        entries_applied_and_not_noted=caught,
        delivered_after=f"{delivered_seconds:.1f} s",
    )
    stores = await read_stores(topology)
    require_sound(stores, ledger)
    assert not list(attempted(stores.source))
    assert caught > 0, "no worker died between applying and noting, so nothing is proven"


@asynccontextmanager
async def _opened(store: RecordStore) -> AsyncIterator[RecordStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _started(new_worker: NewWorker, topology: Topology) -> WorkerProcess:
    worker = new_worker(topology)
    worker.start()
    return worker


async def _holder_at_work(
    source: RecordStore, workers: Sequence[WorkerProcess], *, postgres_url: str
) -> WorkerProcess:
    """Waits until entries arrive in the target; the worker that holds the lease has just brought them.

    The first ones may arrive without a lease, by the probe of a target that has just been connected.
    """
    while True:
        await asyncio.to_thread(_wait_for_arrivals, postgres_url, workers)
        lease = (await source.fetch(CONTROL.collection, [LEASE_ID])).get(LEASE_ID)
        holder = "" if lease is None else str(lease["value"]["holder"])
        for worker in workers:
            if f"-{worker.process_id}-" in holder:
                return worker


def _wait_for_arrivals(postgres_url: str, workers: Sequence[WorkerProcess]) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        before = _arrived(connection)
        wait_until(
            lambda: _arrived(connection) != before,
            seconds_max=CAUGHT_SECONDS_MAX,
            reason="no worker mirrored anything",
            evidence=lambda: _evidence(workers),
        )


def _evidence(workers: Sequence[WorkerProcess]) -> str:
    return "\n".join(worker.evidence() for worker in workers)


def _arrived(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM postgres_audit_logs").fetchone()
    return int(row[0]) if row is not None else 0


async def _applied_and_not_noted(source: RecordStore, postgres_url: str) -> int:
    """How many entries the target holds that the source takes for unmirrored."""
    waiting = Question(
        collection=AUDIT_LOGS.collection,
        where=Equals("syncStatus", SyncStatus.PENDING.value),
        limit=WAITING_MAX,
    )
    ids = [entry["id"] for entry in await source.find(waiting)]
    return await asyncio.to_thread(_held, postgres_url, ids)


def _held(postgres_url: str, ids: list[str]) -> int:
    statement = "SELECT count(*) FROM postgres_audit_logs WHERE mongo_id = ANY(%s)"
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute(statement, [ids]).fetchone()
    return int(row[0]) if row is not None else 0
