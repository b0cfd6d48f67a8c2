"""Each guard of a cut-over, green and red; a red one names what is wrong and what to type."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.migration.guards import (
    LAG_MS_MAX,
    Situation,
    Soak,
    guards_of,
    newest_step,
    processes_of,
    require_green,
)
from adapters.ownership.comparison import LEASE_SECONDS
from adapters.ownership.control import Ownership, Peer
from adapters.records.lanes import Lane, Positions, ProcessIdentity
from application.ports.migration import (
    CollectionCoverage,
    Guard,
    MoveProcess,
    Quarantined,
    StepTaken,
    Verification,
)
from application.ports.schema import FlawEffect, SchemaFlaw
from application.ports.synchronisation import CollectionSync, SyncMetrics
from domain.errors import Conflict
from domain.migration import Step

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
OWNER = replace(Ownership.of_owner("monty"), peer=Peer("postgres", 3))
UNTOUCHED = replace(OWNER, peer=Peer("postgres", 1))
REHEARSED = StepTaken(step="rehearse", at=AT, by="anna", detail="Writes paused for 9 ms.", pause_ms=9)
MIRRORING = MoveProcess(process="process 1 on day", is_alive=True, mirrors=True)
HELD = Quarantined(id="quarantine:tasks:7", collection="tasks", record_id="7", reason="No.", raw="{}")


def metrics(*, failed: int = 0, parked: int = 0, lag_ms: int = 0) -> SyncMetrics:
    row = CollectionSync(
        collection="tasks",
        synced=4,
        pending=0,
        failed=failed,
        parked=parked,
        oldest_pending_age_ms=None,
        mirror_latency_p50_ms=None,
        mirror_latency_p99_ms=None,
    )
    return SyncMetrics(
        source="monty",
        target="postgres",
        mode="mirror",
        paused=False,
        target_reachable=True,
        collections=[row],
        lag_ms=lag_ms,
    )


def verified(
    *, compared: int = 4, differences: int = 0, incarnation: int = 3, epoch: int = 1
) -> Verification:
    row = CollectionCoverage(
        collection="tasks", source=4, target=4, compared=compared, differences=differences
    )
    return Verification(
        mode="FULL",
        started_at=AT,
        ended_at=AT,
        incarnation=incarnation,
        epoch=epoch,
        collections=(row,),
        differences=(),
        difference_count=differences,
    )


GREEN = Situation(
    owner=OWNER,
    metrics=metrics(),
    target_trouble=None,
    verification=verified(epoch=OWNER.since),
    quarantined=[replace(HELD, decision="skip", decided_because="A draft.")],
    processes=[MIRRORING],
    steps=[REHEARSED],
    soak=Soak(seconds=0, now=AT, reads=0),
)


def flawed(effect: FlawEffect, *, store: str = "postgres") -> Situation:
    flaw = SchemaFlaw(
        cause="The unique key labels_name is missing.", remedy="Type: tandem migrate up", effect=effect
    )
    return replace(GREEN, flaws={store: (flaw,)})


def guard(situation: Situation, code: str, *, step: Step = Step.CUT_OVER) -> Guard:
    return next(one for one in guards_of(situation, step=step) if one.code == code)


def test_every_guard_is_green_where_nothing_is_wrong() -> None:
    guards = guards_of(GREEN, step=Step.CUT_OVER)
    assert {one.code for one in guards} >= {
        "target",
        "backlog",
        "undecided",
        "processes",
        "evidence",
        "rehearsal",
    }
    assert [one.code for one in guards if not one.is_green or one.remedy] == []
    require_green(guards)


@pytest.mark.parametrize(
    ("code", "change", "detail", "remedy"),
    [
        ("target", {"target_trouble": "It is down."}, "It is down.", "tandem doctor"),
        ("backlog", {"metrics": metrics(failed=2)}, "2 entries failed", "tandem sync failures"),
        (
            "backlog",
            {"metrics": metrics(lag_ms=LAG_MS_MAX + 1)},
            f"{LAG_MS_MAX + 1} ms behind",
            "tandem sync failures",
        ),
        ("undecided", {"metrics": metrics(parked=3)}, "3 parked entries", "tandem sync retry"),
        ("undecided", {"quarantined": [HELD]}, "1 records in quarantine", "tandem move quarantine list"),
        (
            "processes",
            {"processes": [MIRRORING, replace(MIRRORING, process="process 2 on night", mirrors=False)]},
            "process 2 on night",
            "STORE=dual",
        ),
        ("evidence", {"verification": None}, "never compared", "tandem move verify --full"),
        (
            "evidence",
            {"verification": verified(incarnation=2, epoch=OWNER.since)},
            "void",
            "tandem move verify --full",
        ),
        (
            "evidence",
            {"verification": verified(epoch=OWNER.since + 1)},
            "void",
            "tandem move verify --full",
        ),
        (
            "evidence",
            {"verification": verified(differences=1, epoch=OWNER.since)},
            "1 differences",
            "tandem move repair",
        ),
        (
            "evidence",
            {"verification": verified(compared=3, epoch=OWNER.since)},
            "75.0% compared",
            "tandem move repair",
        ),
        ("rehearsal", {"steps": []}, "never rehearsed", "tandem move rehearse"),
    ],
)
def test_a_red_guard_names_what_is_wrong_and_what_to_type(
    code: str, change: dict[str, object], detail: str, remedy: str
) -> None:
    situation = replace(GREEN, **change)  # type: ignore[arg-type]
    red = [one for one in guards_of(situation, step=Step.CUT_OVER) if not one.is_green]
    # Nobody can see who mirrors to a target that cannot be used.
    assert [one.code for one in red] == ([code, "processes"] if code == "target" else [code])
    assert detail in red[0].detail
    assert remedy in red[0].remedy
    with pytest.raises(Conflict) as refused:
        require_green(red)
    assert red[0].detail in refused.value.message
    assert red[0].remedy in refused.value.message


def test_a_process_that_has_ended_need_not_mirror() -> None:
    ended = MoveProcess(process="process 2 on night", is_alive=False, mirrors=False)
    assert guard(replace(GREEN, processes=[MIRRORING, ended]), "processes").is_green


@pytest.mark.parametrize(
    "change",
    [
        {"verification": replace(verified(epoch=OWNER.since), difference_count=1)},
        {"edited": "3 statements have changed it.", "is_edited": True},
    ],
)
def test_a_rollback_does_not_overlook_a_difference_that_was_found(change: dict[str, object]) -> None:
    situation = replace(GREEN, **change)  # type: ignore[arg-type]
    red = [one.code for one in guards_of(situation, step=Step.ROLL_BACK) if not one.is_green]
    assert red == ["evidence"]


def test_a_rollback_needs_no_evidence_only_because_changes_are_not_counted() -> None:
    found = verified(incarnation=1, epoch=UNTOUCHED.since)
    situation = replace(
        GREEN, owner=UNTOUCHED, verification=found, edited="Changes past Tandem are not counted."
    )
    require_green(guards_of(situation, step=Step.ROLL_BACK))
    with pytest.raises(Conflict, match="not counted"):
        require_green(guards_of(situation, step=Step.CUT_OVER))


def test_a_schema_that_cannot_be_read_is_not_said_to_be_whole() -> None:
    found = guard(replace(GREEN, flaws={"monty": (), "postgres": None}), "schema")
    assert not found.is_green
    assert "postgres store cannot be read" in found.detail
    left = replace(GREEN, flaws={OWNER.store: None, "other": ()})
    assert guard(left, "schema", step=Step.ROLL_BACK).is_green


def test_a_rollback_needs_neither_new_evidence_nor_a_rehearsal() -> None:
    situation = replace(GREEN, owner=UNTOUCHED, verification=None, steps=[])
    codes = {one.code for one in guards_of(situation, step=Step.ROLL_BACK)}
    assert not codes & {"evidence", "rehearsal"}
    require_green(guards_of(situation, step=Step.ROLL_BACK))


RESTORED = replace(OWNER, peer=Peer("postgres", 2))


@pytest.mark.parametrize("found", [None, verified(incarnation=1, epoch=RESTORED.since)])
def test_a_rollback_to_a_store_that_was_restored_needs_evidence_of_it(found: Verification | None) -> None:
    situation = replace(GREEN, owner=RESTORED, verification=found, steps=[])
    with pytest.raises(Conflict, match="tandem move verify --full"):
        require_green(guards_of(situation, step=Step.ROLL_BACK))
    compared = replace(situation, verification=verified(incarnation=2, epoch=RESTORED.since))
    require_green(guards_of(compared, step=Step.ROLL_BACK))
    differing = verified(differences=1, incarnation=2, epoch=RESTORED.since)
    with pytest.raises(Conflict, match="tandem move repair"):
        require_green(guards_of(replace(situation, verification=differing), step=Step.ROLL_BACK))


def test_the_end_of_the_way_back_needs_evidence_and_no_rehearsal() -> None:
    require_green(guards_of(replace(GREEN, steps=[]), step=Step.FINISH))
    with pytest.raises(Conflict, match="tandem move verify --full"):
        require_green(guards_of(replace(GREEN, verification=None), step=Step.FINISH))


def test_a_guard_says_since_when_it_is_so() -> None:
    assert guard(GREEN, "evidence").since == AT
    assert guard(GREEN, "rehearsal").since == AT


def test_the_newest_step_of_a_kind_counts() -> None:
    newer = replace(REHEARSED, detail="Writes paused for 8 ms.")
    assert newest_step([REHEARSED, newer], Step.REHEARSE) == newer
    assert newest_step([REHEARSED], Step.CUT_OVER) is None


def lane(number: int, process: str, *, silent_seconds: float = 0.0, is_open: bool = True) -> Lane:
    by = ProcessIdentity(process=process, host="day", boot="1", pid=number)
    return Lane(
        lane=number,
        number=1,
        is_open=is_open,
        epoch=1,
        opening="",
        by=by,
        silent_seconds=silent_seconds,
    )


def test_a_process_mirrors_if_it_is_seen_at_both_stores() -> None:
    source = Positions(lanes={1: lane(1, "one"), 2: lane(2, "two"), 3: lane(3, "gone", is_open=False)})
    target = Positions(lanes={1: lane(1, "one"), 2: lane(2, "two", is_open=False)})
    found = {one.process: (one.is_alive, one.mirrors) for one in processes_of(source, target)}
    one, two = str(lane(1, "one").by), str(lane(2, "two").by)
    assert found == {one: (True, True), two: (True, False)}


def test_nobody_says_who_mirrors_to_a_target_that_does_not_answer() -> None:
    found = processes_of(Positions(lanes={1: lane(1, "one")}), None)
    assert [one.mirrors for one in found] == [None]
    processes = guard(replace(GREEN, processes=found), "processes")
    assert (processes.is_green, "cannot be seen" in processes.detail) == (False, True)


def test_a_process_is_alive_while_one_of_its_lanes_beats() -> None:
    silent = LEASE_SECONDS + 1
    source = Positions(
        lanes={
            1: lane(1, "one"),
            2: lane(2, "one", silent_seconds=silent),
            3: lane(3, "two", silent_seconds=silent),
            4: lane(4, "of a clock that was ahead", silent_seconds=-silent),
        }
    )
    assert [one.is_alive for one in processes_of(source, source)] == [True, False, False]


@pytest.mark.parametrize("store", [OWNER.store, "postgres"])
@pytest.mark.parametrize("effect", [FlawEffect.UNSAFE, FlawEffect.UNCOUNTED])
def test_a_flaw_of_either_schema_lets_nobody_cut_over_or_finish(effect: FlawEffect, store: str) -> None:
    for step in (Step.CUT_OVER, Step.FINISH):
        found = guard(flawed(effect, store=store), "schema", step=step)
        assert (found.is_green, found.remedy) == (False, "Type: tandem migrate up")
        assert found.detail == f"{store}: The unique key labels_name is missing."


def test_a_rollback_may_leave_a_source_whose_schema_is_damaged() -> None:
    assert guard(flawed(FlawEffect.UNSAFE, store=OWNER.store), "schema", step=Step.ROLL_BACK).is_green
    assert not guard(flawed(FlawEffect.UNSAFE), "schema", step=Step.ROLL_BACK).is_green


def test_a_missing_index_that_only_costs_time_stops_no_step() -> None:
    assert guard(flawed(FlawEffect.SLOW), "schema").is_green
