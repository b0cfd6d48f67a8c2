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


@dataclass(slots=True)
class Report:
    """What one scenario measured."""

    scenario: Scenario
    pauses_ms: Sequence[int] = ()
    acknowledged_writes: int = 0
    lost_answers: int = 0
    failed_answers: int = 0
    longest_wait_ms: int = 0
    refusals: Mapping[str, int] = field(default_factory=dict)
    last_refusal: str = ""
    seconds: float = 0.0


async def run(scenario: Scenario) -> Report:
    """Moves an installation there, back, and there again. Raises AssertionError for a broken promise."""
    began = time.monotonic()
    report = Report(scenario)
    async with installed(scenario.source) as installation:
        try:
            load = await _move(scenario, installation, report)
            await installation.stop()
            await _require_kept(installation, load)
        except BaseException as failure:
            failure.add_note(f"{scenario.described()}\n{report.last_refusal}\n{installation.evidence()}")
            raise
    report.seconds = time.monotonic() - began
    return report


async def _move(scenario: Scenario, installation: Installation, report: Report) -> Load:
    striker = Striker(installation)
    async with MoveOperator(installation.coordinator.url) as operator:
        steps = _steps(operator, scenario.source)
        async with loaded(installation.services, Random(scenario.seed)) as load:
            await asyncio.sleep(WARM_UP_SECONDS)
            for stage in Stage:
                if stage is Stage.FINISH:
                    break
                await _take(
                    stage, steps[stage], scenario=scenario, striker=striker, parts=(installation, load)
                )
                report.last_refusal = operator.last_refusal
            await load.stop()
            report.failed_answers = len(load.failed(since=0))
            await load.clients[0].wait_delivered(
                seconds_max=DELIVERED_SECONDS_MAX, evidence=installation.evidence
            )
            await _take(
                Stage.FINISH,
                steps[Stage.FINISH],
                scenario=scenario,
                striker=striker,
                parts=(installation, load),
            )
    report.pauses_ms = operator.pauses_ms
    report.refusals = dict(operator.refusals)
    report.acknowledged_writes = load.ledger.writes
    report.lost_answers = load.lost
    report.longest_wait_ms = load.longest_ms()
    return load


def _steps(operator: MoveOperator, source: str) -> Mapping[Stage, Callable[[], Awaitable[None]]]:
    return {
        Stage.BACKFILL: operator.backfill,
        Stage.VERIFY: operator.verify,
        Stage.REHEARSE: operator.rehearse,
        Stage.CUT_OVER: lambda: operator.switch("cutover", owner="postgres"),
        Stage.WRITES: lambda: asyncio.sleep(WRITES_SECONDS),
        Stage.ROLL_BACK: lambda: operator.switch("rollback", owner=source),
        Stage.VERIFY_AGAIN: operator.verify,
        Stage.CUT_OVER_AGAIN: lambda: operator.switch("cutover", owner="postgres"),
        Stage.VERIFY_LAST: operator.verify,
        Stage.FINISH: operator.finish,
    }


async def _take(
    stage: Stage,
    step: Callable[[], Awaitable[None]],
    *,
    scenario: Scenario,
    striker: Striker,
    parts: tuple[Installation, Load],
) -> None:
    """Takes a step beside its fault, and requires what must hold of requests meanwhile."""
    installation, load = parts
    if stage is scenario.copied:
        await asyncio.to_thread(installation.copy, is_postgres=_is_postgres_restored(scenario))
    planned = scenario.of(stage)
    began, lost = time.monotonic(), load.lost
    strike = [] if planned is None else [striker.strike(planned, stage)]
    await asyncio.gather(step(), *strike)
    load.require_no_failure()
    if stage in SWITCHES and (planned is None or planned.fault in SPARES_REQUESTS):
        await asyncio.sleep(AFTER_SWITCH_SECONDS)
        failed = load.failed(since=began)
        assert not failed, f"{stage}: requests failed although nothing hit their process: {failed[:5]}"
        assert load.lost == lost, f"{stage}: {load.lost - lost} requests were not answered"


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
    assert found[0] is not None and found[1] is not None
    one, other = found[0].ownership, found[1].ownership
    takers = Counter([takes_writes(one, other), takes_writes(other, one)])
    assert takers[True] == 1, (one, other)
