"""The conditions of a cut-over. Each red one names what is wrong and the command that helps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from adapters.migration.evidence import still_holds
from adapters.migration.routes import ROUTABLE
from adapters.migration.steps import SHADOW_STEP
from adapters.ownership.comparison import shows_life
from adapters.ownership.control import FIRST_INCARNATION, Ownership
from adapters.ownership.process_identity import is_gone
from adapters.records.lanes import Positions
from application.ports.migration import Guard, MoveProcess, Quarantined, StepTaken, Verification
from application.ports.schema import FlawEffect, SchemaFlaw, summary_of
from application.ports.synchronisation import SyncMetrics
from domain.errors import Conflict
from domain.migration import Route, Step

LAG_MS_MAX = 10_000
"""A mirror that is further behind does not catch up while writes wait."""


@dataclass(frozen=True, slots=True)
class Soak:
    """How long reads have to be compared without a difference, and how many this process has compared so far."""

    seconds: int
    now: datetime
    reads: int

    def ends_at(self, since: datetime) -> datetime:
        """When reads that have been clean since then have been so for long enough."""
        return since + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the guards look at."""

    owner: Ownership
    metrics: SyncMetrics
    target_trouble: str | None
    verification: Verification | None
    quarantined: Sequence[Quarantined]
    processes: Sequence[MoveProcess]
    steps: Sequence[StepTaken]
    edited: str | None = None
    """What was changed past Tandem since the verification, or why that is not known; None if nothing was."""
    is_edited: bool = False
    """Whether it is known that something was."""
    horizon: datetime | None = None
    """The instant up to which everything was compared; None without a verification."""
    soak: Soak
    """What a cut-over asks of shadow reads."""
    flaws: Mapping[str, Sequence[SchemaFlaw] | None] = field(default_factory=dict)
    """What somebody removed from the schema of each store, the source first; None for one that cannot be read."""


def guards_of(situation: Situation, *, step: Step) -> tuple[Guard, ...]:
    """The guards of a step that moves the ownership, or ends the way back.

    A rollback returns to the store that was verified, so it needs new evidence only if that one has turned out since to
    be an older copy of itself, or was replaced, or if a comparison since then has found a difference.
    """
    guards = [
        _target(situation),
        _schema(situation, step=step),
        _backlog(situation),
        _undecided(situation),
        _processes(situation),
    ]
    if step is Step.CUT_OVER:
        guards += [_evidence(situation), _shadow(situation), _rehearsal(situation)]
    elif step is Step.FINISH or _has_lost_writes(situation.owner) or _is_known_to_differ(situation):
        guards.append(_evidence(situation))
    return tuple(guards)


def require_green(guards: Iterable[Guard]) -> None:
    """Raises Conflict that names every red guard with its remedy."""
    red = [guard for guard in guards if not guard.is_green]
    if red:
        causes = " ".join(f"{guard.detail} {guard.remedy}".strip() for guard in red)
        raise Conflict(f"The ownership cannot move yet: {causes}")


def processes_of(source: Positions, target: Positions | None) -> tuple[MoveProcess, ...]:
    """The processes with an open lane in the source, and whether they have one in the target, too, if it is known."""
    mirroring: set[str] | None = None
    if target is not None:
        mirroring = {lane.by.process for lane in target.lanes.values() if lane.is_open}
    found: dict[str, MoveProcess] = {}
    for lane in source.lanes.values():
        if lane.is_open:
            is_alive = shows_life(lane) and not is_gone(lane.by)
            known = found.get(lane.by.process)
            found[lane.by.process] = MoveProcess(
                process=str(lane.by),
                is_alive=is_alive or (known is not None and known.is_alive),
                mirrors=None if mirroring is None else lane.by.process in mirroring,
            )
    return tuple(found.values())


def _target(situation: Situation) -> Guard:
    trouble = situation.target_trouble
    return Guard(
        code="target",
        is_green=trouble is None,
        detail="The target answers." if trouble is None else f"The target cannot be used: {trouble}",
        remedy="" if trouble is None else "See: tandem doctor",
    )


def _schema(situation: Situation, *, step: Step) -> Guard:
    """A rollback leaves the source, whatever is wrong with its schema."""
    left = situation.owner.store if step is Step.ROLL_BACK else None
    concerned = {name: flaws for name, flaws in situation.flaws.items() if name != left}
    unread = [name for name, flaws in concerned.items() if flaws is None]
    if unread:
        detail = f"The schema of the {' and the '.join(unread)} store cannot be read."
        return Guard(code="schema", is_green=False, detail=detail, remedy="See: tandem doctor")
    found = [
        replace(flaw, cause=f"{name}: {flaw.cause}")
        for name, flaws in concerned.items()
        for flaw in flaws or ()
        # A backfill puts what nobody can read in quarantine, where somebody decides.
        if flaw.effect not in (FlawEffect.SLOW, FlawEffect.UNREADABLE)
    ]
    if not found:
        detail = "No part of the schema is missing or changed."
        return Guard(code="schema", is_green=True, detail=detail)
    causes, remedies = summary_of(found)
    return Guard(code="schema", is_green=False, detail=causes, remedy=". ".join(remedies))


def _backlog(situation: Situation) -> Guard:
    metrics = situation.metrics
    is_green = metrics.totals.failed == 0 and metrics.lag_ms <= LAG_MS_MAX
    if is_green:
        return Guard(code="backlog", is_green=True, detail=f"The mirror is {metrics.lag_ms} ms behind.")
    detail = f"{metrics.totals.failed} entries failed, and the mirror is {metrics.lag_ms} ms behind."
    return Guard(code="backlog", is_green=False, detail=detail, remedy="See: tandem sync failures")


def _undecided(situation: Situation) -> Guard:
    parked = situation.metrics.totals.parked
    undecided = sum(one.decision is None for one in situation.quarantined)
    if parked == 0 and undecided == 0:
        return Guard(code="undecided", is_green=True, detail="No record waits for a decision.")
    return Guard(
        code="undecided",
        is_green=False,
        detail=f"{parked} parked entries and {undecided} records in quarantine wait for a decision.",
        remedy="Type: tandem sync retry, tandem sync discard, or tandem move quarantine list",
    )


def _processes(situation: Situation) -> Guard:
    if any(one.mirrors is None for one in situation.processes) or situation.target_trouble is not None:
        detail = "Which processes mirror cannot be seen while the target cannot be used."
        return Guard(code="processes", is_green=False, detail=detail, remedy="See: tandem doctor")
    silent = [one.process for one in situation.processes if one.is_alive and not one.mirrors]
    if not silent:
        count = sum(one.is_alive for one in situation.processes)
        detail = f"Every process that is alive mirrors ({count})."
        return Guard(code="processes", is_green=True, detail=detail)
    return Guard(
        code="processes",
        is_green=False,
        detail=f"These processes do not mirror: {', '.join(silent)}.",
        remedy="Start them with STORE=dual and the same target, or stop them.",
    )


def _has_lost_writes(owner: Ownership) -> bool:
    """Whether the mirror has been restored or replaced since the present owner took over."""
    return owner.peer is not None and owner.peer.incarnation > FIRST_INCARNATION


def _is_known_to_differ(situation: Situation) -> bool:
    found = situation.verification
    if found is None or not still_holds(found, situation.owner):
        return False
    return not found.is_clean or situation.is_edited


def _evidence(situation: Situation) -> Guard:
    found, owner = situation.verification, situation.owner
    remedy = "Type: tandem move verify --full"
    if found is None:
        return Guard(code="evidence", is_green=False, detail="The stores were never compared.", remedy=remedy)
    if not still_holds(found, owner):
        detail = "The verification is void: a store was restored or the owner has changed since."
        return Guard(code="evidence", is_green=False, detail=detail, remedy=remedy)
    if situation.edited is not None:
        return Guard(code="evidence", is_green=False, detail=situation.edited, remedy=remedy)
    detail = (
        f"Verified at {_minute(found.ended_at)}: {found.coverage:.1%} compared, "
        f"{found.difference_count} differences"
    )
    detail += f", {len(found.skipped)} records skipped by decision." if found.skipped else "."
    if found.is_clean:
        if situation.horizon is not None:
            detail += (
                f" Equal as of {situation.horizon.strftime('%H:%M:%S UTC')}; the step compares the rest."
            )
        return Guard(code="evidence", is_green=True, detail=detail, since=found.ended_at)
    return Guard(
        code="evidence",
        is_green=False,
        detail=detail,
        remedy="Type: tandem move repair",
        since=found.ended_at,
    )


def _shadow(situation: Situation) -> Guard:
    """Reads of every collection that may be routed are compared, or answered by the target, and none has differed."""
    steps = situation.steps
    found = newest_step(steps, SHADOW_STEP)
    later = steps if found is None else steps[steps.index(found) + 1 :]
    routed = [step.at for step in later if step.step == Step.ROUTE]
    if found is not None and not routed:
        return _red_shadow(
            f"{found.detail} ({_minute(found.at)}).",
            "Type: tandem move verify --full, then tandem move route all --shadow 10",
        )
    if not situation.soak.seconds:
        detail = "No shadow read has differed; MOVE_SOAK_SECONDS asks for none."
        return Guard(code="shadow", is_green=True, detail=detail)
    routes = situation.owner.routes
    left_out = [name for name in ROUTABLE if routes.get(name, Route()).is_plain]
    if left_out:
        return _red_shadow(
            f"No shadow reads compare {', '.join(left_out)}.", "Type: tandem move route all --shadow 10"
        )
    begun = [routes[name].since or situation.soak.now for name in ROUTABLE]
    return _soaked(situation.soak, since=max([*begun, *(routed[:1] if found is not None else [])]))


def _soaked(soak: Soak, *, since: datetime) -> Guard:
    if not soak.reads:
        detail = "This process has compared no read since it started."
        return _red_shadow(detail, "Let people use the service, or read something yourself.")
    if soak.now < soak.ends_at(since):
        passed = int((soak.now - since).total_seconds())
        detail = f"Shadow reads have found no difference for {passed} of {soak.seconds} seconds."
        return _red_shadow(detail, f"Wait until {_minute(soak.ends_at(since))}, or change MOVE_SOAK_SECONDS.")
    detail = f"No shadow read has differed since {_minute(since)}; this process has compared {soak.reads}."
    return Guard(code="shadow", is_green=True, detail=detail, since=since)


def _red_shadow(detail: str, remedy: str) -> Guard:
    return Guard(code="shadow", is_green=False, detail=detail, remedy=remedy)


def _rehearsal(situation: Situation) -> Guard:
    newest = newest_step(situation.steps, Step.REHEARSE)
    if newest is None:
        detail = "The cut-over was never rehearsed."
        return Guard(code="rehearsal", is_green=False, detail=detail, remedy="Type: tandem move rehearse")
    detail = f"Rehearsed at {_minute(newest.at)}: {newest.detail}"
    return Guard(code="rehearsal", is_green=True, detail=detail, since=newest.at)


def newest_step(steps: Sequence[StepTaken], step: str) -> StepTaken | None:
    """The newest step of this kind; None where it was never taken."""
    return next((taken for taken in reversed(steps) if taken.step == step), None)


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")
