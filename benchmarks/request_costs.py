"""The CPU time of a request over HTTP in the service's process, compared with a usual service of this kind.

That service is Django over MongoDB and PostgreSQL. Its figures were measured on an ordinary machine, so each of ours is
reported twice: as measured here, and divided by the slowness of this machine at adding numbers. The CPU time of
databases in processes of their own is not counted for either; MontyDB runs inside our process and is counted.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.load import LoadResult, MakeRequest, get, post, run_load
from benchmarks.processes import ServerProcess, service, stand_in_mongo
from benchmarks.report import Report, at_most, slowness
from benchmarks.team_world import SHOWN, TeamWorld, team_at_work

SECTION = "CPU of a request, beside a usual service"
CONNECTIONS = 16
ROUNDS = 5
LIST_AGAINST_GET_MAX = 4.0

DUAL = {"STORE": "dual", "POSTGRES_URL": "embedded", "DUAL_WRITE_TIMEOUT_MS": "10000"}
MONTY = {**DUAL, "DUAL_WRITE_SOURCE": "monty", "MONTY_STORAGE": "sqlite"}
EXPANDED = "expand=labels,assignee"


@dataclass(frozen=True, slots=True)
class Usual:
    """The CPU time of the usual service for a kind of request, and the share of it that ours may take."""

    name: str
    ms: float
    share: int


GET = Usual("GET a task with its labels and assignee", 2.7, 8)
LIST = Usual(f"list of {SHOWN} with labels, assignee and watch flag", 28, 20)
CREATE = Usual("create a task, mirrored", 5.3, 8)
CREATE_AND_ASSIGN = Usual("create a task and assign it, two requests, mirrored", 8.2, 8)


@dataclass(slots=True)
class Machine:
    """How much slower than an ordinary machine this one was, measured again before every round."""

    factors: list[float] = field(default_factory=list)

    def note(self) -> None:
        """Measures once more."""
        self.factors.append(slowness())

    @property
    def factor(self) -> float:
        """The median."""
        return statistics.median(self.factors)

    def __str__(self) -> str:
        return f"{self.factor:.1f} (between {min(self.factors):.1f} and {max(self.factors):.1f})"


@dataclass(frozen=True, slots=True)
class Sizes:
    """The number of requests of each kind in a round; the smallest number also warms the service up."""

    reads: int
    lists: int
    writes: int
    writers: int = CONNECTIONS
    """How many connections write at once."""


OVER_MONTY = Sizes(reads=1_500, lists=400, writes=600)
OVER_STAND_IN = Sizes(reads=400, lists=60, writes=60, writers=1)
"""The stand-in sorts whole collections and is slow at transactions, which only makes the service wait. Concurrent
creates in one project conflict there and are retried, which would cost the service CPU, so there is one writer.
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: a function from its number to the request, and the number of requests in a round."""

    make: MakeRequest
    requests: int
    connections: int = CONNECTIONS


Rounds = Sequence[float]
"""The server's CPU time per request in ms, for each round."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Reports the figures of one topology of stores, compared with those of the usual service."""

    report: Report
    stores: str
    machine: Machine

    def add(self, usual: Usual, rounds: Rounds, raw: str) -> None:
        """Adds two figures: as measured, and scaled to an ordinary machine."""
        against = f"1/{usual.share} of the usual service's {usual.ms:g} ms"
        each = ", ".join(f"{ms:.2f}" for ms in rounds)
        here = f"{against}; as measured on this machine, rounds {each} ms; {raw}"
        scaled = f"{against}; divided by {self.machine}, how much slower three million additions are here"
        self._add(f"{usual.name}, here", usual, _median(rounds), here)
        self._add(f"{usual.name}, scaled", usual, self.scaled_ms(rounds), scaled)

    def scaled_ms(self, rounds: Rounds) -> float:
        """The estimate for an ordinary machine, from the speed of additions."""
        return _median(rounds) / self.machine.factor

    def _add(self, name: str, usual: Usual, ms: float, raw: str) -> None:
        figure = at_most(f"{self.stores}: {name}", ms, usual.ms / usual.share, unit="ms", raw=raw)
        self.report.add(SECTION, figure)


async def measure(report: Report) -> None:
    """Each topology of two stores with all features: permissions, audit, mirror, access log."""
    with service(MONTY) as server:
        await measure_arrangement(report, server, "MontyDB on disk to PostgreSQL", OVER_MONTY)
    with stand_in_mongo() as uri, service({**DUAL, "MONGODB_URI": uri}) as server:
        await measure_arrangement(report, server, "stand-in for MongoDB to PostgreSQL", OVER_STAND_IN)


async def measure_arrangement(report: Report, server: ServerProcess, stores: str, sizes: Sizes) -> None:
    """Measures reads first, because the writes change the lists."""
    world, machine = team_at_work(server), Machine()
    one, bare, listed, bare_list = await _reading(server, world, machine, sizes)
    created, assigned = await _writing(server, world, machine, sizes)
    confirmed = server.confirmed(world.admin.token)
    both = [make + give for make, give in zip(created, assigned, strict=True)]
    comparison = Comparison(report, stores, machine)
    comparison.add(GET, one, f"without labels and assignee {comparison.scaled_ms(bare):.3f} ms scaled")
    comparison.add(
        LIST, listed, f"without labels and assignee {comparison.scaled_ms(bare_list):.3f} ms scaled"
    )
    details = f"in a project, with labels and due date, {sizes.writers} at once; {confirmed}"
    comparison.add(CREATE, created, details)
    comparison.add(
        CREATE_AND_ASSIGN, both, f"the assignment alone {comparison.scaled_ms(assigned):.3f} ms scaled"
    )
    for name, many, single in (
        ("with labels and assignee", listed, one),
        ("without them", bare_list, bare),
    ):
        ratio = _median([page / task for page, task in zip(many, single, strict=True)])
        raw = f"{_median(many):.2f} ms and {_median(single):.2f} ms here, {ROUNDS} rounds in turn"
        title = f"{stores}: list of {SHOWN} against a GET, both {name}"
        report.add(SECTION, at_most(title, ratio, LIST_AGAINST_GET_MAX, raw=raw))


async def _reading(server: ServerProcess, world: TeamWorld, machine: Machine, sizes: Sizes) -> list[Rounds]:
    """All kinds in turn, so that changes in the machine's speed affect all of them."""
    token = world.member.token
    page = f"/v1/tasks?limit={SHOWN}"
    whole = [get(f"/v1/tasks/{id_}?{EXPANDED}", token) for id_ in world.shown]
    bare = [get(f"/v1/tasks/{id_}", token) for id_ in world.shown]
    kinds = (
        Kind(lambda number: whole[number % SHOWN], sizes.reads),
        Kind(lambda number: bare[number % SHOWN], sizes.reads),
        Kind(lambda _: get(f"{page}&{EXPANDED}", token), sizes.lists),
        Kind(lambda _: get(page, token), sizes.lists),
    )
    for kind in kinds:
        await run_load(server.port, kind.make, requests=sizes.lists, connections=CONNECTIONS)
    rounds: list[list[float]] = [[] for _ in kinds]
    for _ in range(ROUNDS):
        for kind, found in zip(kinds, rounds, strict=True):
            found.append((await _round(server, kind, machine))[0])
    return list(rounds)


async def _writing(
    server: ServerProcess, world: TeamWorld, machine: Machine, sizes: Sizes
) -> tuple[Rounds, Rounds]:
    """Creates tasks and assigns them; each round ends when all changes are mirrored."""
    token, admin = world.member.token, world.admin.token
    new = [post("/v1/tasks", json.dumps(world.task_body(n)).encode(), token) for n in range(SHOWN)]
    assignee = json.dumps({"assigneeId": world.owner.id, "assigneeType": "USER"}).encode()
    creating = Kind(lambda number: new[number % SHOWN], sizes.writes, sizes.writers)
    await run_load(server.port, creating.make, requests=sizes.lists, connections=sizes.writers)
    server.confirmed(admin)
    created, assigned = [], []
    for _ in range(ROUNDS):
        cpu_ms, result = await _round(server, creating, machine, admin=admin)
        created.append(cpu_ms)
        given = [post(f"{location}/assign", assignee, token) for location in result.locations]
        cpu_ms, _ = await _round(
            server, Kind(given.__getitem__, sizes.writes, sizes.writers), machine, admin=admin
        )
        assigned.append(cpu_ms)
    return created, assigned


async def _round(
    server: ServerProcess, kind: Kind, machine: Machine, *, admin: str | None = None
) -> tuple[float, LoadResult]:
    """The CPU time of each request in ms, and the results. With an administrator's token the round ends when all
    changes are mirrored.
    """
    machine.note()
    began = server.cpu_seconds()
    result = await run_load(server.port, kind.make, requests=kind.requests, connections=kind.connections)
    if admin is not None:
        server.confirmed(admin)
    cpu_ms = (server.cpu_seconds() - began) / result.requests * 1_000
    if result.rejected:
        raise RuntimeError(f"the server rejected requests: {result.rejected}")
    return cpu_ms, result


def _median(values: Rounds) -> float:
    return statistics.median(values)
