"""What every crash test needs: a seed, processes that end with the test, and a place for the figures."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.crash.embedded_server import ServersOwnPostgres
from tests.integration.crash.tandem_process import ServiceProcess, TandemProcess, WorkerProcess
from tests.integration.crash.topologies import Topology

SEED_VARIABLE = "CRASH_SEED"


@pytest.fixture
def seed() -> int:
    """The seed of the random moments; printed with the figures, and read from CRASH_SEED where that is set."""
    return int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))


@pytest.fixture
def processes() -> Iterator[list[TandemProcess]]:
    """Processes that end with the test, whatever its outcome."""
    started: list[TandemProcess] = []
    yield started
    for process in started:
        process.kill()


@pytest.fixture
def new_service(processes: list[TandemProcess]) -> Callable[[Topology], ServiceProcess]:
    """Makes a service of a topology, not started yet."""

    def make(topology: Topology) -> ServiceProcess:
        name = f"service-{len(processes)}"
        service = ServiceProcess(name, environment=topology.environment, directory=topology.data_directory)
        processes.append(service)
        return service

    return make


@pytest.fixture
def new_worker(processes: list[TandemProcess]) -> Callable[[Topology], WorkerProcess]:
    """Makes a worker of a topology, not started yet."""

    def make(topology: Topology) -> WorkerProcess:
        name = f"worker-{len(processes)}"
        worker = WorkerProcess(name, environment=topology.environment, directory=topology.data_directory)
        processes.append(worker)
        return worker

    return make


@pytest.fixture
def servers_own_postgres(data_directory: Path) -> Iterator[ServersOwnPostgres]:
    """The PostgreSQL that a service starts in DATA_DIR; it outlives killed services, but not the test."""
    server = ServersOwnPostgres(data_directory)
    yield server
    server.kill()
