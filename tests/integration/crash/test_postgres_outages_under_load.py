"""The target freezes or is killed under load: a request is delayed by the time-out at most, no record is rejected."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from tests.integration.crash.ledger import Ledger
from tests.integration.crash.running_editors import running_editors
from tests.integration.crash.service_client import ServiceClient, Timing
from tests.integration.crash.stall_probe import StallProbe
from tests.integration.crash.store_comparison import attempted, read_stores, require_sound
from tests.integration.crash.tandem_process import ServiceProcess
from tests.integration.crash.topologies import Topology, monty_to_postgres
from tests.servers.postgres import OwnPostgresServer
from tests.servers.report import note_figures

EDITORS = 3
TIMEOUT_MS = 400
GRACE_MS = 100
"""What a request may take beyond the time-out."""
WARM_UP_SECONDS = 0.5
FROZEN_SECONDS = 1.2
DOWN_SECONDS_MAX = 1.5
UP_SECONDS_MAX = 1.2
BACK_SECONDS_MAX = 45.0
MARKED_SECONDS_MAX = 60.0
FREE_REQUESTS_MIN = 20

NewService = Callable[[Topology], ServiceProcess]
freezes = pytest.mark.parametrize("freezes", [3, pytest.param(12, marks=pytest.mark.torture)])
kills = pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.torture)])


@pytest.mark.alone
@freezes
async def test_a_frozen_target_costs_each_request_its_time_out_at_most_and_only_until_the_breaker_opens(
    freezes: int,
    seed: int,
    data_directory: Path,
    own_postgres_server: OwnPostgresServer,
    new_service: NewService,
) -> None:
    topology = monty_to_postgres(data_directory, own_postgres_server.url)
    service = new_service(topology.having(DUAL_WRITE_TIMEOUT_MS=str(TIMEOUT_MS)))
    ledger = Ledger()
    worst_ms: list[float] = []
    with StallProbe(data_directory) as stall_probe:
        async with _running(service) as client:
            async with running_editors(client, editors=EDITORS, random=Random(seed), ledger=ledger):
                for _ in range(freezes):
                    worst_ms.append(await _worst_while_frozen(client, own_postgres_server, stall_probe))
                    await _wait_target_back(client)
            await _deliver_and_stop(service, client)
    note_figures(
        "target frozen",
        seed=seed,
        freezes=freezes,
        acknowledged_writes=ledger.writes,
        worst_ms=sorted(map(round, worst_ms)),
    )
    # One slow moment of the machine's disk may make a single freeze look worse; it cannot make most of them.
    assert statistics.median(worst_ms) <= TIMEOUT_MS + GRACE_MS
    await _require_converged(topology, ledger)


async def _worst_while_frozen(
    client: ServiceClient, server: OwnPostgresServer, stall_probe: StallProbe
) -> float:
    """One freeze under load: the milliseconds of the slowest request that met it.

    None takes longer than the time-out, the grace, and what requests that do not touch the target cost at that time.
    """
    warm = time.monotonic()
    await asyncio.sleep(WARM_UP_SECONDS)
    began = time.monotonic()
    await asyncio.to_thread(server.freeze)
    await asyncio.sleep(FROZEN_SECONDS)
    ended = time.monotonic()
    exchanges = [*client.timings, *client.still_waiting()]
    totals = (await client.sync_metrics())["totals"]
    await asyncio.to_thread(server.thaw)
    before = [timing for timing in exchanges if warm <= timing.began and timing.ended <= began]
    touched = [timing for timing in exchanges if timing.ended > began]
    worst = max(touched, key=lambda timing: timing.milliseconds)
    stalled_ms = stall_probe.worst_ms(min(timing.began for timing in touched), ended)
    # Whoever waited for the target made the breaker open; who began after that must not have waited.
    opened = min((timing.ended for timing in touched if timing.milliseconds >= TIMEOUT_MS), default=None)
    assert opened is not None, "no request met the frozen target, so nothing is proven"
    free = [timing for timing in touched if timing.began > opened]
    worst_free_ms = max((timing.milliseconds for timing in free), default=0.0)
    note_figures(
        "one freeze",
        worst_ms=round(worst.milliseconds),
        worst_request=worst.request,
        time_out_ms=TIMEOUT_MS,
        machine_stalled_ms=round(stalled_ms),
        breaker_open_after_ms=round((opened - began) * 1000),
        requests_after=len(free),
        median_before_ms=round(_median_ms(before), 1),
        median_after_ms=round(_median_ms(free), 1),
        worst_after_ms=round(worst_free_ms),
    )
    assert all(timing.status < 500 for timing in touched)
    assert totals["failed"] == totals["parked"] == 0
    assert totals["pending"] > 0
    assert len(free) >= FREE_REQUESTS_MIN
    # Who pays for the target pays the whole time-out; half of it tells the two apart on a busy machine, too.
    assert worst_free_ms < TIMEOUT_MS / 2 + stalled_ms, "a request waited although the breaker was open"
    assert _median_ms(free) <= 2 * _median_ms(before)
    assert worst.milliseconds <= TIMEOUT_MS + GRACE_MS + max(stalled_ms, worst_free_ms)
    return worst.milliseconds


@kills
async def test_a_target_killed_and_restarted_again_and_again_converges_and_parks_nothing(
    kills: int,
    seed: int,
    data_directory: Path,
    own_postgres_server: OwnPostgresServer,
    new_service: NewService,
) -> None:
    topology = monty_to_postgres(data_directory, own_postgres_server.url)
    service = new_service(topology.having(DUAL_WRITE_TIMEOUT_MS=str(TIMEOUT_MS)))
    ledger = Ledger()
    random = Random(seed)
    async with _running(service) as client:
        async with running_editors(client, editors=EDITORS, random=random, ledger=ledger):
            for _ in range(kills):
                await asyncio.sleep(random.uniform(0.1, UP_SECONDS_MAX))
                await asyncio.to_thread(own_postgres_server.kill)
                await asyncio.sleep(random.uniform(0.1, DOWN_SECONDS_MAX))
                await asyncio.to_thread(own_postgres_server.restart)
        assert all(timing.status < 500 for timing in client.timings)
        delivered_seconds = await _deliver_and_stop(service, client)
    note_figures(
        "target killed",
        seed=seed,
        kills=kills,
        acknowledged_writes=ledger.writes,
        delivered_after=f"{delivered_seconds:.1f} s",
    )
    await _require_converged(topology, ledger)


@asynccontextmanager
async def _running(service: ServiceProcess) -> AsyncIterator[ServiceClient]:
    await asyncio.to_thread(service.start_ready)
    async with ServiceClient(service.url) as client:
        await client.sign_in()
        yield client


async def _deliver_and_stop(service: ServiceProcess, client: ServiceClient) -> float:
    seconds = await client.wait_delivered(seconds_max=MARKED_SECONDS_MAX)
    assert await asyncio.to_thread(service.stop) == 0
    return seconds


async def _wait_target_back(client: ServiceClient) -> None:
    """Until the breaker is closed again: before that another freeze would go unnoticed."""
    deadline = time.monotonic() + BACK_SECONDS_MAX
    while not (await client.sync_metrics())["targetReachable"]:
        assert time.monotonic() < deadline, (
            f"the target was not taken back within {BACK_SECONDS_MAX:.0f} seconds"
        )
        await asyncio.sleep(0.1)


async def _require_converged(topology: Topology, ledger: Ledger) -> None:
    stores = await read_stores(topology)
    require_sound(stores, ledger)
    assert not list(attempted(stores.source)), "an outage was counted against a record"


def _median_ms(timings: Sequence[Timing]) -> float:
    return statistics.median(timing.milliseconds for timing in timings) if timings else float("nan")
