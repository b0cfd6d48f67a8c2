"""One scenario from the first write to the last comparison."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from adapters.ownership import control
from adapters.records.record_store import RecordStore
from tests.integration.crash.store_comparison import Contents, Stores, read_open_store, require_sound
from tests.integration.lab.installation import Installation, installed
from tests.integration.lab.load import Load, loaded
from tests.integration.lab.move_operator import MoveOperator
from tests.integration.lab.owner_watch import watched
from tests.integration.lab.schedule import (
    OWNED_BY_POSTGRES,
    SPARES_REQUESTS,
    SWITCHES,
    Fault,
    Scenario,
    Stage,
)
from tests.integration.lab.striking import Striker
from tests.unit.adapters.migration.move_world import takes_writes

WARM_UP_SECONDS = 0.5
WRITES_SECONDS = 1.0
AFTER_SWITCH_SECONDS = 0.4
DELIVERED_SECONDS_MAX = 60.0
NOT_ENDED = -1.0
SECONDS_MAX = 400.0
"""How long a scenario may take on a busy machine."""

Step = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Report:
    """What one scenario measured."""

    scenario: Scenario
    pauses_ms: list[int] = field(default_factory=list)
    acknowledged_writes: int = 0
    lost_answers: int = 0
    failed_answers: int = 0
    longest_wait_ms: int = 0
    looks: int = 0
    """How often both control records were read during the run."""
    refusals: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    """How many seconds each stage took; the last one may not have ended."""
    faults: Counter[str] = field(default_factory=Counter)
    """The newest answers of 5xx, by what they say."""

    def seconds_by_stage(self) -> str:
        """The stages in words."""
        return ", ".join(f"{stage} {seconds}" for stage, seconds in self.stages.items())


async def run(scenario: Scenario, *, seconds_max: float = SECONDS_MAX) -> Report:
    """Moves an installation there, back, and there again. Raises AssertionError for a broken promise, and TimeoutError
    for a scenario that does not end.
    """
    began = time.monotonic()
    report = Report(scenario)
    async with installed(scenario.source) as installation:
        try:
            async with asyncio.timeout(seconds_max):
                load = await _move(installation, report)
                await installation.stop()
                await _require_kept(installation, load)
        except BaseException as failure:
            failure.add_note(f"{report.seconds_by_stage()}\n{report.refusals}\n{installation.evidence()}")
            raise
    report.seconds = time.monotonic() - began
    return report


async def _move(installation: Installation, report: Report) -> Load:
    async with MoveOperator(installation.coordinator.url) as operator:
        report.refusals, report.pauses_ms = operator.refusals, operator.pauses_ms
        working = loaded(installation.services, Random(report.scenario.seed))
        async with watched(installation) as watch, working as load:
            run = _Run(report, installation, operator, load)
            await asyncio.sleep(WARM_UP_SECONDS)
            await run.take_all(list(Stage)[:-1])
            await load.stop()
            await load.clients[0].wait_delivered(seconds_max=DELIVERED_SECONDS_MAX)
            await run.take_all([Stage.FINISH])
            report.failed_answers = len(load.failed(since=0))
            report.faults = load.faults()
            report.acknowledged_writes = load.ledger.writes
            report.lost_answers = load.lost
            report.longest_wait_ms = load.longest_ms()
            report.looks = 0 if watch is None else watch.looks
    return load


class _Run:
    """Takes the stages of one scenario beside their faults."""

    def __init__(
        self, report: Report, installation: Installation, operator: MoveOperator, load: Load
    ) -> None:
        self._report, self._scenario = report, report.scenario
        self._parts, self._operator, self._load = installation, operator, load
        self._striker = Striker(installation)
        self._steps: Mapping[Stage, Step] = {
            Stage.BACKFILL: operator.backfill,
            Stage.VERIFY: operator.verify,
            Stage.REHEARSE: operator.rehearse,
            Stage.CUT_OVER: lambda: operator.switch("cutover", owner="postgres"),
            Stage.WRITES: lambda: asyncio.sleep(WRITES_SECONDS),
            Stage.ROLL_BACK: lambda: operator.switch("rollback", owner=self._scenario.source),
            Stage.VERIFY_AGAIN: operator.verify,
            Stage.CUT_OVER_AGAIN: lambda: operator.switch("cutover", owner="postgres"),
            Stage.VERIFY_LAST: operator.verify,
            Stage.FINISH: operator.finish,
        }

    async def take_all(self, stages: Sequence[Stage]) -> None:
        """Takes these stages in their order."""
        for stage in stages:
            began = time.monotonic()
            self._report.stages[stage] = NOT_ENDED
            await self._take(stage)
            self._report.stages[stage] = round(time.monotonic() - began, 1)

    async def _take(self, stage: Stage) -> None:
        if stage is self._scenario.copied:
            is_postgres = _is_postgres_restored(self._scenario)
            await asyncio.to_thread(self._parts.copy, is_postgres=is_postgres)
        planned = self._scenario.of(stage)
        began, lost = time.monotonic(), self._load.lost
        async with asyncio.TaskGroup() as group:
            if planned is not None:
                group.create_task(self._striker.strike(planned, stage, begun=self._operator.switching))
            # The fault waits for the beginning of the step before the step begins.
            await asyncio.sleep(0)
            await self._steps[stage]()
        self._load.require_no_failure()
        if stage in SWITCHES and (planned is None or planned.fault in SPARES_REQUESTS):
            await asyncio.sleep(AFTER_SWITCH_SECONDS)
            failed = self._load.failed(since=began)
            said = [list(client.faults)[-3:] for client in self._load.clients]
            assert not failed, f"{stage}: {len(failed)} requests failed although nothing hit them: {said}"
            assert self._load.lost == lost, f"{stage}: {self._load.lost - lost} requests were not answered"


def _is_postgres_restored(scenario: Scenario) -> bool:
    restored = next(stage for stage, one in scenario.plan.items() if one.fault is Fault.RESTORE_TARGET)
    return restored not in OWNED_BY_POSTGRES


async def _require_kept(installation: Installation, load: Load) -> None:
    """Both stores are equal and hold what was acknowledged, once; one of them owns the writes."""
    owner, former = installation.new_owner(), installation.former_owner()
    await owner.open()
    await former.open()
    try:
        await _require_one_owner(owner, former)
        stores = Stores(await read_open_store(owner), await read_open_store(former))
    finally:
        await owner.close()
        await former.close()
    require_sound(stores, load.ledger)
    for contents, name in ((stores.source, "owner"), (stores.target, "former owner")):
        back = _returned(contents, load.deleted)
        assert not back, f"{name}: labels that were deleted are back: {back}"


def _returned(contents: Contents, deleted: Sequence[str]) -> list[str]:
    return [id_ for id_ in deleted if not contents["labels"][id_]["isDeleted"]]


async def _require_one_owner(first: RecordStore, second: RecordStore) -> None:
    found = [await control.read(store) for store in (first, second)]
    one, other = [held.ownership for held in found if held is not None]
    takers = Counter([takes_writes(one, other), takes_writes(other, one)])
    assert takers[True] == 1, (one, other)
