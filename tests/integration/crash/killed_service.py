"""A service that dies at random moments, sometimes together with the PostgreSQL it started."""

import asyncio
from collections import Counter
from random import Random

from tests.integration.crash.embedded_server import ServersOwnPostgres
from tests.integration.crash.tandem_process import ServiceProcess

WORK_SECONDS_MIN, WORK_SECONDS_MAX = 0.1, 1.5
START_SECONDS_MIN, START_SECONDS_MAX = 0.2, 2.5
KILLED_AT_START_SHARE = 0.25
KILLED_TOGETHER_SHARE = 0.3


class MortalService:
    """Runs, dies and rises; `deaths` counts how: at work or while starting, alone or with its PostgreSQL."""

    def __init__(
        self, service: ServiceProcess, *, random: Random, own_postgres: ServersOwnPostgres | None = None
    ) -> None:
        self._service = service
        self._random = random
        self._own_postgres = own_postgres
        self.deaths: Counter[str] = Counter()

    async def rise(self) -> None:
        """Runs and is ready on return."""
        if not self._service.is_running:
            self._service.start()
        await asyncio.to_thread(self._service.wait_ready)

    async def die(self) -> None:
        """SIGKILL after a while of work; where it does not run, it may not even come to work."""
        moment = "at work"
        if not self._service.is_running and self._random.random() < KILLED_AT_START_SHARE:
            moment = "at start"
            self._service.start()
            await asyncio.sleep(self._random.uniform(START_SECONDS_MIN, START_SECONDS_MAX))
        else:
            await self.rise()
            await asyncio.sleep(self._random.uniform(WORK_SECONDS_MIN, WORK_SECONDS_MAX))
        await asyncio.to_thread(self._service.kill)
        if self._own_postgres is not None and self._random.random() < KILLED_TOGETHER_SHARE:
            await asyncio.to_thread(self._own_postgres.kill)
            moment += " with PostgreSQL"
        self.deaths[moment] += 1
