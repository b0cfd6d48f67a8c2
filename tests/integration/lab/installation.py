"""An installation of the laboratory: databases behind proxies, services, a worker, and copies of what they hold."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.mongo.record_store import MongoRecordStore
from adapters.monty.record_store import MontyRecordStore
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.lanes import LanedStore
from tests.integration.crash.tandem_process import ServiceProcess, TandemProcess, WorkerProcess
from tests.integration.crash.topologies import DATABASE, Topology, mongo_to_postgres, monty_to_postgres
from tests.integration.lab.faulty_proxy import FaultyProxy, mongo_proxy_to, postgres_proxy_to, through
from tests.servers.directories import open_directory
from tests.servers.mongo import MongoDatabase, StandInMongoServer, start_secantus
from tests.servers.postgres import OwnPostgresServer
from tests.servers.processes import freeze_tree, thaw_tree

SERVICES_OF_MONGO = 2
TRANSACTION_SECONDS = 5.0
"""When MongoDB ends the open transaction of a process that was killed or stands still. Its own setting is 60 s."""


class Installation:
    """All parts of one scenario. MontyDB is used by one service; MongoDB by two and a worker."""

    def __init__(self, source: str, directory: Path) -> None:
        self.source = source
        self.directory = directory
        self.postgres = OwnPostgresServer(directory / "postgres")
        self.postgres_proxy = postgres_proxy_to(self.postgres.url)
        self.mongo: StandInMongoServer | None = None
        self.mongo_proxy: FaultyProxy | None = None
        if source == "mongo":
            self.mongo = start_secantus(
                directory / "mongo", is_durable=True, transaction_seconds=TRANSACTION_SECONDS
            )
            self.mongo_proxy = mongo_proxy_to(self.mongo.server.port)
        self.services: list[ServiceProcess] = []
        self.worker: WorkerProcess | None = None

    @property
    def coordinator(self) -> ServiceProcess:
        """The service that takes the steps of the move."""
        return self.services[0]

    @property
    def processes(self) -> list[TandemProcess]:
        """Everything of ours that runs."""
        return [*self.services, *([] if self.worker is None else [self.worker])]

    async def start(self) -> None:
        """Starts everything, one after the other; all are ready on return."""
        for proxy in self._proxies:
            await proxy.open()
        topology = self._topology()
        of = {"environment": topology.environment, "directory": self.directory}
        count = SERVICES_OF_MONGO if self.mongo is not None else 1
        self.services = [ServiceProcess(f"service-{number}", **of) for number in range(count)]  # type: ignore[arg-type]
        for service in self.services:
            await asyncio.to_thread(service.start_ready)
        if self.mongo is not None:
            self.worker = WorkerProcess("worker", environment=topology.environment, directory=self.directory)
            self.worker.start()
            await asyncio.to_thread(self.worker.wait_ready)

    async def stop(self) -> None:
        """Ends our processes in order; each must end with 0."""
        for process in reversed(self.processes):
            assert await asyncio.to_thread(process.stop) == 0, process.evidence()

    async def close(self) -> None:
        """Ends everything, whatever state it is in."""
        for process in self.processes:
            if process.is_running:
                thaw_tree(process.process_id)
            process.kill()
        for proxy in self._proxies:
            proxy.heal()
            await proxy.close()
        self.postgres.close()
        if self.mongo is not None:
            self.mongo.close()

    def former_owner(self) -> LanedStore:
        """The store that the migration leaves."""
        if self.mongo is not None:
            return MongoRecordStore(self.mongo.uri, DATABASE)
        return MontyRecordStore(self.directory / "monty", database=DATABASE)

    def new_owner(self) -> LanedStore:
        """The store that the migration moves to."""
        return PostgresRecordStore(self.postgres.url)

    def copy(self, *, is_postgres: bool) -> None:
        """Copies what a store holds, as a snapshot of its disk does: everything that writes stands still meanwhile."""
        copied = self._data(is_postgres=is_postgres)
        process_id = self._writer(is_postgres=is_postgres)
        freeze_tree(process_id)
        try:
            subprocess.run(["cp", "-a", copied, _copy_of(copied)], check=True)
        finally:
            thaw_tree(process_id)

    def restore(self, *, is_postgres: bool) -> None:
        """Puts the copy in the place of what the store holds now. Nothing may use the files."""
        restored = self._data(is_postgres=is_postgres)
        shutil.rmtree(restored)
        subprocess.run(["cp", "-a", _copy_of(restored), restored], check=True)
        (restored / "postmaster.pid").unlink(missing_ok=True)

    def evidence(self) -> str:
        """What our processes said."""
        return "\n".join(process.evidence() for process in self.processes)

    def _data(self, *, is_postgres: bool) -> Path:
        if is_postgres:
            return self.directory / "postgres" / "data"
        return self.directory / "mongo" / "data" if self.mongo is not None else self.directory / "monty"

    def _writer(self, *, is_postgres: bool) -> int:
        if is_postgres:
            return self.postgres.process_id
        if self.mongo is not None:
            return self.mongo.server.process_id
        return self.coordinator.process_id

    def _topology(self) -> Topology:
        url = through(self.postgres_proxy, self.postgres.url)
        if self.mongo_proxy is None:
            return monty_to_postgres(self.directory, url)
        uri = f"mongodb://127.0.0.1:{self.mongo_proxy.port}/?directConnection=true"
        return mongo_to_postgres(self.directory, MongoDatabase(uri, DATABASE), url)

    @property
    def _proxies(self) -> list[FaultyProxy]:
        return [proxy for proxy in (self.postgres_proxy, self.mongo_proxy) if proxy is not None]


def _copy_of(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.older")


@asynccontextmanager
async def installed(source: str) -> AsyncIterator[Installation]:
    """An installation that runs, and ends with the block."""
    with open_directory() as directory:
        installation = Installation(source, directory)
        try:
            await installation.start()
            yield installation
        finally:
            await installation.close()
