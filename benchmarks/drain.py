"""What a backlog costs while it drains: foreground requests with and without the drain, and the rate without them.

MontyDB on disk is the source, an embedded PostgreSQL the target. Each round leaves a backlog in the file of a stopped
service, starts the service, and measures with the drain, then the drain alone; the requests alone before and after.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.dual_write.outbox import pending
from adapters.monty.record_store import MontyRecordStore
from benchmarks.folders import reachable
from benchmarks.load import MakeRequest, get, patch, run_load
from benchmarks.processes import ServerProcess, service
from benchmarks.records import task_change
from benchmarks.report import Report, at_least, at_most, percentile

SECTION = "Drain of a backlog"
ENTRIES = 20_000
ENTRIES_MAX = 1_000_000
FILL_AT_ONCE = 500
CONNECTIONS, WARM_UP, REQUESTS, TASKS, ROUNDS = 16, 300, 4_000, 199, 3
"""The prime number of tasks is larger than that of connections: two changes of one task rarely meet."""
POLL_SECONDS = 1.0
DRAIN_SECONDS_MAX = 900.0
UNEVEN_MAX = 1.3
"""The largest quotient between measurements of the requests alone at which the figures are a verdict."""
DUAL = {
    "STORE": "dual",
    "DUAL_WRITE_SOURCE": "monty",
    "MONTY_STORAGE": "sqlite",
    "POSTGRES_URL": "embedded",
    "DUAL_WRITE_TIMEOUT_MS": "5000",
}


@dataclass(slots=True)
class _Rounds:
    """One value of each round."""

    with_ms: list[float] = field(default_factory=list)
    without_ms: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    beside_per_second: list[float] = field(default_factory=list)
    etas: list[str] = field(default_factory=list)
    uneven: float = 1.0
    """The largest quotient between the requests alone before and after a drain."""


async def measure(report: Report, *, entries: int = ENTRIES) -> None:
    """Rounds with a backlog of so many entries each, at most ENTRIES_MAX."""
    if not 0 < entries <= ENTRIES_MAX:
        raise ValueError(f"a backlog has 1 to {ENTRIES_MAX} entries")
    rounds = _Rounds()
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as folder:
        directory = reachable(folder)
        settings = {**DUAL, "DATA_DIR": folder}
        with service(settings) as server:
            paths = _created(server)
        for number in range(ROUNDS):
            with service(settings) as server:
                before_ms = await _p95_ms(server, _reads_and_changes(paths, _token(server)))
            await _fill(directory / "monty", first=number * entries, count=entries)
            with service(settings) as server:
                await _round(server, paths, entries=entries, rounds=rounds, before_ms=before_ms)
    _report(report, rounds, entries)


async def _round(
    server: ServerProcess, paths: list[str], *, entries: int, rounds: _Rounds, before_ms: float
) -> None:
    token = _token(server)
    request = _reads_and_changes(paths, token)
    # The relay leaves the newest entries to the requests that may still be at work on them.
    await _until(lambda: _waiting(server, token) < entries)
    before, began = _waiting(server, token), time.perf_counter()
    rounds.with_ms.append(await _p95_ms(server, request))
    metrics = _metrics(server, token)
    after, beside_seconds = int(metrics["totals"]["pending"]), time.perf_counter() - began
    if not 0 < after < before:
        raise RuntimeError(f"{before} entries waited before the requests and {after} afterwards")
    rounds.beside_per_second.append((before - after) / beside_seconds)
    rounds.etas.append(
        f"{after} waiting, {metrics['ratePerSecond']} a second, {metrics['etaSeconds']} s left"
    )
    began = time.perf_counter()
    await _until(lambda: _waiting(server, token) == 0)
    rounds.per_second.append(after / (time.perf_counter() - began))
    after_ms = await _p95_ms(server, request)
    rounds.without_ms.append((before_ms + after_ms) / 2)
    rounds.uneven = max(rounds.uneven, before_ms / after_ms, after_ms / before_ms)
    print(
        f"round: p95 {rounds.with_ms[-1]:.1f} ms with the drain, {rounds.without_ms[-1]:.1f} ms without;"
        f" {rounds.per_second[-1]:.0f} entries a second alone",
        flush=True,
    )


def _report(report: Report, rounds: _Rounds, entries: int) -> None:
    with_ms, without_ms = statistics.median(rounds.with_ms), statistics.median(rounds.without_ms)
    every = ", ".join(f"{a:.0f}/{b:.0f}" for a, b in zip(rounds.with_ms, rounds.without_ms, strict=True))
    beside = statistics.median(rounds.beside_per_second)
    raw = (
        f"{entries} entries, {CONNECTIONS} connections with GET and PATCH in turn: with {with_ms:.1f} ms, without"
        f" {without_ms:.1f} ms (rounds {every}); {beside:.0f} entries a second beside the requests"
    )
    ratio = statistics.median(a / b for a, b in zip(rounds.with_ms, rounds.without_ms, strict=True))
    report.add(SECTION, at_most("p95 of requests with the drain against without", ratio, 1.5, raw=raw))
    rate = statistics.median(rounds.per_second)
    raw = (
        f"rounds {', '.join(f'{each:.0f}' for each in rounds.per_second)}; reported: {'; '.join(rounds.etas)}"
    )
    report.add(SECTION, at_least("drain without other load", rate, 1_000, unit="a second", raw=raw))
    uneven = max(rounds.uneven, max(rounds.without_ms) / min(rounds.without_ms))
    if uneven > UNEVEN_MAX:
        report.note(
            SECTION,
            f"The requests alone differed by a factor of {uneven:.1f}: there was too much other load on"
            " the machine for a verdict.",
        )


def _created(server: ServerProcess) -> list[str]:
    """The paths of new tasks for the requests."""
    token = _token(server)
    made = [server.ask("/v1/tasks", {"title": f"Plant hedge {number}"}, token) for number in range(TASKS)]
    server.confirmed(token)
    return [f"/v1/tasks/{task['id']}" for task in made]


async def _fill(directory: Path, *, first: int, count: int) -> None:
    """Commits tasks with entries that wait, as a process leaves them that does not reach its target."""
    store = MontyRecordStore(directory)
    await store.open()
    try:
        for numbers in _portions(range(first, first + count)):
            await asyncio.gather(*(store.commit(pending(task_change(n, 1, n))) for n in numbers))
    finally:
        await store.close()


def _portions(numbers: range) -> Iterator[range]:
    for start in range(0, len(numbers), FILL_AT_ONCE):
        yield numbers[start : start + FILL_AT_ONCE]


def _token(server: ServerProcess) -> str:
    return str(server.ask("/v1/auth/dev/token", {"email": "bench@example.org"})["accessToken"])


def _reads_and_changes(paths: list[str], token: str) -> MakeRequest:
    """GET and PATCH in turn."""

    def make(number: int) -> bytes:
        path = paths[number % len(paths)]
        if number % 2:
            return get(path, token)
        return patch(path, json.dumps({"title": f"Trim hedge {number}"}).encode(), token)

    return make


async def _p95_ms(server: ServerProcess, request: MakeRequest) -> float:
    await run_load(server.port, request, requests=WARM_UP, connections=CONNECTIONS)
    result = await run_load(server.port, request, requests=REQUESTS, connections=CONNECTIONS)
    if result.rejected:
        raise RuntimeError(f"the server rejected requests: {result.rejected}")
    return percentile(result.latencies_ms, 0.95)


async def _until(is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    while not is_reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the backlog did not drain within {DRAIN_SECONDS_MAX:.0f} s")
        await asyncio.sleep(POLL_SECONDS)


def _waiting(server: ServerProcess, token: str) -> int:
    return int(_metrics(server, token)["totals"]["pending"])


def _metrics(server: ServerProcess, token: str) -> dict[str, Any]:
    return server.ask("/v1/sync/metrics", token=token)
