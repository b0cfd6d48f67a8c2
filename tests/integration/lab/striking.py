"""Makes the faults of a schedule happen, each undone after its time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from tests.integration.crash.tandem_process import TandemProcess
from tests.integration.lab.faulty_proxy import FaultyProxy
from tests.integration.lab.installation import Installation
from tests.integration.lab.schedule import OWNED_BY_POSTGRES, SWITCHES, Fault, Planned, Stage
from tests.servers.mongo import StandInMongoServer
from tests.servers.postgres import OwnPostgresServer
from tests.servers.processes import PortServer, freeze_tree, thaw_tree

DELAY_SECONDS = 0.03

Strike = Callable[[float], Awaitable[None]]
"""One fault that lasts so many seconds."""


class Striker:
    """Strikes at the parts of one installation."""

    def __init__(self, installation: Installation) -> None:
        self._parts = installation
        self._strikes: Mapping[Fault, Strike] = self._all_strikes()

    async def strike(self, planned: Planned, stage: Stage, *, begun: asyncio.Event) -> None:
        """Waits, lets the fault happen, and undoes it once its time is over. All parts run on return.

        The time of a switch counts from when it is asked for, which sets `begun`.
        """
        if stage in SWITCHES or stage is Stage.REHEARSE:
            begun.clear()
            await begun.wait()
        await asyncio.sleep(planned.after_seconds)
        if planned.fault is Fault.RESTORE_TARGET:
            await self._restore_target(is_postgres=stage not in OWNED_BY_POSTGRES)
        else:
            await self._strikes[planned.fault](planned.for_seconds)

    def _all_strikes(self) -> Mapping[Fault, Strike]:
        parts = self._parts
        strikes: dict[Fault, Strike] = {
            Fault.KILL_COORDINATOR: lambda seconds: _kill(parts.coordinator, seconds),
            Fault.KILL_POSTGRES: lambda seconds: _crash(parts.postgres, seconds),
            Fault.FREEZE_POSTGRES: lambda seconds: _freeze(parts.postgres, seconds),
            Fault.CUT_POSTGRES: lambda seconds: parts.postgres_proxy.cut(),
            Fault.DROP_POSTGRES: lambda seconds: _drop(parts.postgres_proxy, seconds),
            Fault.DELAY_POSTGRES: lambda seconds: _delay(parts.postgres_proxy, seconds),
            Fault.PART_POSTGRES: lambda seconds: _part(parts.postgres_proxy, seconds),
        }
        if parts.mongo is None or parts.mongo_proxy is None or parts.worker is None:
            return strikes
        other, worker = parts.services[1], parts.worker
        server, proxy = parts.mongo.server, parts.mongo_proxy
        return strikes | {
            Fault.KILL_OTHER: lambda seconds: _kill(other, seconds),
            Fault.FREEZE_OTHER: lambda seconds: _freeze_process(other, seconds),
            Fault.KILL_WORKER: lambda seconds: _kill(worker, seconds),
            Fault.FREEZE_WORKER: lambda seconds: _freeze_process(worker, seconds),
            Fault.KILL_MONGO: lambda seconds: _crash(server, seconds),
            Fault.FREEZE_MONGO: lambda seconds: _freeze(server, seconds),
            Fault.CUT_MONGO: lambda seconds: proxy.cut(),
            Fault.DROP_MONGO: lambda seconds: _drop(proxy, seconds),
            Fault.DELAY_MONGO: lambda seconds: _delay(proxy, seconds),
            Fault.PART_MONGO: lambda seconds: _part(proxy, seconds),
        }

    async def _restore_target(self, *, is_postgres: bool) -> None:
        """Ends whatever uses the files of the target, puts the older copy in their place, and starts it again."""
        parts = self._parts
        if is_postgres:
            await asyncio.to_thread(parts.postgres.kill)
            await asyncio.to_thread(parts.restore, is_postgres=True)
            await asyncio.to_thread(parts.postgres.restart)
        elif isinstance(parts.mongo, StandInMongoServer):
            await asyncio.to_thread(parts.mongo.server.kill)
            await asyncio.to_thread(parts.restore, is_postgres=False)
            await asyncio.to_thread(parts.mongo.server.restart)
        else:
            await asyncio.to_thread(parts.coordinator.kill)
            await asyncio.to_thread(parts.restore, is_postgres=False)
            await _restart(parts.coordinator)


async def _kill(process: TandemProcess, seconds: float) -> None:
    await asyncio.to_thread(process.kill)
    await asyncio.sleep(seconds)
    await _restart(process)


async def _restart(process: TandemProcess) -> None:
    process.start()
    await asyncio.to_thread(process.wait_ready)


async def _freeze_process(process: TandemProcess, seconds: float) -> None:
    process_id = process.process_id
    await asyncio.to_thread(freeze_tree, process_id)
    await asyncio.sleep(seconds)
    thaw_tree(process_id)


async def _crash(server: OwnPostgresServer | PortServer, seconds: float) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.restart)


async def _freeze(server: OwnPostgresServer | PortServer, seconds: float) -> None:
    await asyncio.to_thread(server.freeze)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.thaw)


async def _drop(proxy: FaultyProxy, seconds: float) -> None:
    """Several answers, so that every kind of request may lose its own."""
    for _ in range(3):
        proxy.drop_next_answer()
        await asyncio.sleep(seconds / 3)


async def _delay(proxy: FaultyProxy, seconds: float) -> None:
    proxy.delay_seconds = DELAY_SECONDS
    await asyncio.sleep(seconds)
    proxy.delay_seconds = 0.0


async def _part(proxy: FaultyProxy, seconds: float) -> None:
    proxy.part()
    await asyncio.sleep(seconds)
    proxy.heal()
