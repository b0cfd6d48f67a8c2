"""A service that is killed again and again while people work with it."""

import asyncio
from dataclasses import dataclass
from random import Random

from tests.integration.crash.editor import Editor
from tests.integration.crash.ledger import Ledger
from tests.integration.crash.service_client import ServiceClient
from tests.integration.crash.tandem_process import ServiceProcess

EDITORS = 4
WORK_SECONDS_MIN, WORK_SECONDS_MAX = 0.1, 1.2
START_SECONDS_MIN, START_SECONDS_MAX = 0.2, 2.5
KILLED_AT_START_SHARE = 0.25
EDITORS_END_SECONDS_MAX = 150.0


@dataclass(frozen=True, slots=True)
class Killed:
    """One death: what was killed, and after how many seconds of what."""

    moment: str
    seconds: float


async def work_while_killed(
    service: ServiceProcess, client: ServiceClient, *, kills: int, random: Random, ledger: Ledger
) -> list[Killed]:
    """Editors work, the service dies `kills` times at random moments, also while it starts, and runs at the end.

    Returns once every request has its answer.
    """
    await asyncio.to_thread(service.start_ready)
    await client.sign_in()
    stopping = asyncio.Event()
    editors = [
        Editor(f"editor-{number}", client, random=Random(random.random()), ledger=ledger)
        for number in range(EDITORS)
    ]
    working = [asyncio.create_task(editor.work(stopping)) for editor in editors]
    deaths: list[Killed] = []
    try:
        for _ in range(kills):
            deaths.append(await _die_once(service, random))
            _require_at_work(working)
        await asyncio.to_thread(_be_ready, service)
        await asyncio.sleep(WORK_SECONDS_MIN)
        stopping.set()
        await asyncio.wait_for(asyncio.gather(*working), EDITORS_END_SECONDS_MAX)
    finally:
        for editor in working:
            editor.cancel()
    return deaths


def _require_at_work(working: list[asyncio.Task[None]]) -> None:
    """An editor who has ended while he should work has found a fault; raises it now."""
    for editor in working:
        if editor.done():
            editor.result()


async def _die_once(service: ServiceProcess, random: Random) -> Killed:
    """Kills it while it works or, where it does not run, sometimes while it starts."""
    if not service.is_running:
        await asyncio.to_thread(service.start)
        if random.random() < KILLED_AT_START_SHARE:
            return await _kill_after(service, random.uniform(START_SECONDS_MIN, START_SECONDS_MAX), "start")
        await asyncio.to_thread(service.wait_ready)
    return await _kill_after(service, random.uniform(WORK_SECONDS_MIN, WORK_SECONDS_MAX), "work")


async def _kill_after(service: ServiceProcess, seconds: float, moment: str) -> Killed:
    await asyncio.sleep(seconds)
    await asyncio.to_thread(service.kill)
    return Killed(moment, seconds)


def _be_ready(service: ServiceProcess) -> None:
    if not service.is_running:
        service.start_ready()
