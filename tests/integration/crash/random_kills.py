"""Kills a service at random moments, sometimes together with the PostgreSQL that it started."""

import asyncio
from collections import Counter
from random import Random

from tests.integration.crash.embedded_server import ServersOwnPostgres
from tests.integration.crash.tandem_process import ServiceProcess

WORK_SECONDS_MIN, WORK_SECONDS_MAX = 0.1, 1.5
START_SECONDS_MIN, START_SECONDS_MAX = 0.2, 2.5
KILLED_AT_START_SHARE = 0.25
KILLED_TOGETHER_SHARE = 0.3


class RandomKills:
    """`counts` says how it was killed: at work or while starting, alone or with its PostgreSQL."""

    def __init__(
        self, service: ServiceProcess, *, random: Random, own_postgres: ServersOwnPostgres | None = None
    ) -> None:
        self._service = service
        self._random = random
        self._own_postgres = own_postgres
        self.counts: Counter[str] = Counter()

    async def ensure_running(self) -> None:
        """Start the service if it does not run; it is ready on return."""
        if not self._service.is_running:
            self._service.start()
        await asyncio.to_thread(self._service.wait_ready)

    async def kill_once(self) -> None:
        """SIGKILL after some time of work; a service that does not run may be killed while it starts."""
        moment = "at work"
        if not self._service.is_running and self._random.random() < KILLED_AT_START_SHARE:
            moment = "at start"
            self._service.start()
            await asyncio.sleep(self._random.uniform(START_SECONDS_MIN, START_SECONDS_MAX))
        else:
            await self.ensure_running()
            await asyncio.sleep(self._random.uniform(WORK_SECONDS_MIN, WORK_SECONDS_MAX))
        await asyncio.to_thread(self._service.kill)
        if self._own_postgres is not None and self._random.random() < KILLED_TOGETHER_SHARE:
            await asyncio.to_thread(self._own_postgres.kill)
            moment += " with PostgreSQL"
        self.counts[moment] += 1
