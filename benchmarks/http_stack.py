"""The whole stack over HTTP, by the server's own CPU time and by rate, against an application that does nothing.

The CPU figure is more reliable: the load generator shares the machine, so the rate also depends on it.
"""

import json
import tempfile
from dataclasses import dataclass

from benchmarks.load import LoadResult, MakeRequest, get, post, run_load
from benchmarks.processes import ServerProcess, service, stand_in_mongo, trivial_server
from benchmarks.report import Report, at_least, at_most, percentile

SECTION = "Whole stack over HTTP"
CONNECTIONS = 32
STAND_IN_CONNECTIONS = 4
"""The stand-in for MongoDB takes seconds for many concurrent transactions, and some of them time out."""
WARM_UP = 600
REQUESTS = 6_000
ROUNDS = 3
MEMORY_REQUESTS = 200_000
BODY = json.dumps({"title": "Dig the pond", "description": "Line it with two layers of foil. " * 20}).encode()

MONTY_MEMORY = {"STORE": "monty", "MONTY_STORAGE": "memory"}
DUAL = {
    "STORE": "dual",
    "DUAL_WRITE_SOURCE": "monty",
    "POSTGRES_URL": "embedded",
    "DUAL_WRITE_TIMEOUT_MS": "5000",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One kind of request: the server's CPU per request, the rate, and the 99th percentile."""

    cpu_us: float
    per_second: float
    p99_ms: float

    def __str__(self) -> str:
        return f"{self.cpu_us:.0f} µs CPU, {self.per_second:.0f} a second, p99 {self.p99_ms:.1f} ms"


async def measure(report: Report) -> None:
    """The ceiling first, then each topology of stores."""
    with trivial_server() as server:
        ceiling_get = await _cost(server, lambda _: get("/thing"))
        ceiling_post = await _cost(server, lambda _: post("/thing", BODY))
    with service(MONTY_MEMORY) as server:
        token, task_id = _prepared(server)
        reading = await _cost(server, lambda _: get(f"/v1/tasks/{task_id}", token))
        writing = await _cost(server, lambda _: post("/v1/tasks", BODY, token))
    _add(report, "GET by id, MontyDB memory", ceiling=ceiling_get, measured=reading, bound=0.42)
    _add(report, "POST, MontyDB memory, no mirror", ceiling=ceiling_post, measured=writing, bound=0.20)
    for storage, bound in (("memory", 0.20), ("sqlite", 0.16)):
        await _mirrored(report, ceiling_post, storage=storage, bound=bound)
    await _over_mongo(report, ceiling_get, ceiling_post)


async def _mirrored(report: Report, ceiling: Cost, *, storage: str, bound: float) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="tandem-bench-") as directory,
        service({**DUAL, "MONTY_STORAGE": storage, "DATA_DIR": directory}) as server,
    ):
        token, _ = _prepared(server)
        cost = await _cost(server, lambda _: post("/v1/tasks", BODY, token))
        confirmed = server.confirmed(token)
    name = f"POST, MontyDB {storage}, mirror acknowledged ({confirmed})"
    _add(report, name, ceiling=ceiling, measured=cost, bound=bound)


async def measure_memory(report: Report) -> None:
    """Resident memory before and after 200,000 requests, reads and failing writes alike."""
    with service(MONTY_MEMORY) as server:
        token, task_id = _prepared(server)
        wrong = post("/v1/tasks", b'{"title": 1}', token)
        requests = [
            get(f"/v1/tasks/{task_id}", token),
            get("/v1/tasks?limit=5", token),
            get("/nothing"),
            wrong,
        ]
        make: MakeRequest = lambda number: requests[number % len(requests)]  # noqa: E731 - as everywhere here
        await run_load(server.port, make, requests=MEMORY_REQUESTS // 10, connections=CONNECTIONS)
        before = server.resident_mib()
        await run_load(server.port, make, requests=MEMORY_REQUESTS, connections=CONNECTIONS)
        after = server.resident_mib()
    raw = f"{before:.1f} MiB after {MEMORY_REQUESTS // 10}, {after:.1f} MiB after {MEMORY_REQUESTS} more"
    report.add(
        SECTION, at_most("memory growth over 200,000 requests", after - before, 3, unit="MiB", raw=raw)
    )


async def measure_start(report: Report) -> None:
    """The time from the start of the process to the first 200 of /readyz."""
    seconds = []
    for _ in range(5):
        with tempfile.TemporaryDirectory(prefix="tandem-bench-") as directory:
            with service({"STORE": "monty", "DATA_DIR": directory}):
                pass
            with service({"STORE": "monty", "DATA_DIR": directory}) as server:
                seconds.append(server.ready_seconds)
    ordered = sorted(seconds)
    raw = f"five starts: {', '.join(f'{value:.2f}' for value in ordered)} s"
    report.add(SECTION, at_most("start-up to ready on MontyDB", ordered[2], 1, unit="s", raw=raw))


async def _over_mongo(report: Report, ceiling_get: Cost, ceiling_post: Cost) -> None:
    with stand_in_mongo() as uri:
        settings = {
            "STORE": "dual",
            "MONGODB_URI": uri,
            "POSTGRES_URL": "embedded",
            "DUAL_WRITE_TIMEOUT_MS": "5000",
        }
        with service(settings) as server:
            token, task_id = _prepared(server)
            reading = await _cost(server, lambda _: get(f"/v1/tasks/{task_id}", token), requests=2_000)
            writing = await _cost(
                server,
                lambda _: post("/v1/tasks", BODY, token),
                requests=2_000,
                connections=STAND_IN_CONNECTIONS,
            )
    _add(
        report,
        "GET by id over pymongo (stand-in database)",
        ceiling=ceiling_get,
        measured=reading,
        bound=0.15,
    )
    _add(
        report,
        "POST over pymongo, mirror acknowledged (stand-in database)",
        ceiling=ceiling_post,
        measured=writing,
        bound=0.10,
    )


def _add(report: Report, name: str, *, ceiling: Cost, measured: Cost, bound: float) -> None:
    raw = f"ceiling {ceiling}; ours {measured}; by rate {measured.per_second / ceiling.per_second:.2f}"
    report.add(SECTION, at_least(f"{name}, by CPU", ceiling.cpu_us / measured.cpu_us, bound, raw=raw))


async def _cost(
    server: ServerProcess,
    make_request: MakeRequest,
    *,
    requests: int = REQUESTS,
    connections: int = CONNECTIONS,
) -> Cost:
    """The round with the least CPU, because other load on the machine only adds time."""
    await run_load(server.port, make_request, requests=WARM_UP, connections=connections)
    costs = []
    for _ in range(ROUNDS):
        before = server.cpu_seconds()
        result: LoadResult = await run_load(
            server.port, make_request, requests=requests, connections=connections
        )
        cpu_us = (server.cpu_seconds() - before) / result.requests * 1e6
        if result.rejected:
            raise RuntimeError(f"the server rejected requests: {result.rejected}")
        costs.append(Cost(cpu_us, result.per_second, percentile(result.latencies_ms, 0.99)))
    return min(costs, key=lambda cost: cost.cpu_us)


def _prepared(server: ServerProcess) -> tuple[str, str]:
    """A token, and a task to read."""
    signed_in = server.ask("/v1/auth/dev/token", {"email": "bench@example.org"})
    token = str(signed_in["accessToken"])
    task = server.ask("/v1/tasks", json.loads(BODY), token)
    return token, str(task["id"])
