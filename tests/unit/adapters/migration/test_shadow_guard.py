"""When shadow reads have proven enough for a cut-over, and what is missing otherwise."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.migration.guards import Situation, Soak, guards_of
from adapters.migration.routes import ROUTABLE
from adapters.migration.steps import SHADOW_STEP
from adapters.ownership.control import Ownership
from application.ports.migration import Guard, StepTaken
from application.ports.synchronisation import SyncMetrics
from domain.migration import Route, Step

BEGUN = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
HOUR = 3_600
SHADOWED = Route(shadow_percent=10, since=BEGUN)


def minutes(number: float) -> datetime:
    """So many minutes after the shadow reads began."""
    return BEGUN + timedelta(minutes=number)


def taken(step: str, at_minutes: float) -> StepTaken:
    return StepTaken(step=step, at=minutes(at_minutes), by="anna", detail=f"tasks: {step}")


def shadow_guard(
    *steps: StepTaken,
    at_minutes: float,
    routes: Mapping[str, Route] | None = None,
    reads: int = 7,
    soak_seconds: int = HOUR,
) -> Guard:
    routed = dict.fromkeys(ROUTABLE, SHADOWED) if routes is None else routes
    metrics = SyncMetrics(
        source="monty", target="postgres", mode="mirror", paused=False, target_reachable=True, collections=[]
    )
    situation = Situation(
        owner=replace(Ownership.of_owner("monty"), routes=routed),
        metrics=metrics,
        target_trouble=None,
        verification=None,
        quarantined=[],
        processes=[],
        steps=steps,
        soak=Soak(seconds=soak_seconds, now=minutes(at_minutes), reads=reads),
    )
    return next(one for one in guards_of(situation, step=Step.CUT_OVER) if one.code == "shadow")


ROUTED = taken(Step.ROUTE, 0)


def test_reads_that_were_clean_for_the_whole_soak_are_green() -> None:
    guard = shadow_guard(ROUTED, at_minutes=60)
    assert guard.is_green
    assert guard.since == BEGUN
    assert "7" in guard.detail


def test_a_soak_that_has_not_ended_is_red_and_says_when_it_ends() -> None:
    guard = shadow_guard(ROUTED, at_minutes=59.9)
    assert not guard.is_green
    assert "3594 of 3600 seconds" in guard.detail
    assert "2026-01-02 04:00 UTC" in guard.remedy


@pytest.mark.parametrize(
    "left_out", [{}, {"tasks": SHADOWED}, {**dict.fromkeys(ROUTABLE, SHADOWED), "teams": Route()}]
)
def test_collections_that_nothing_compares_are_named(left_out: Mapping[str, Route]) -> None:
    guard = shadow_guard(ROUTED, at_minutes=600, routes=left_out)
    assert not guard.is_green
    assert "teams" in guard.detail
    assert "tandem move route all --shadow 10" in guard.remedy


def test_a_soak_without_a_single_read_proves_nothing() -> None:
    guard = shadow_guard(ROUTED, at_minutes=600, reads=0)
    assert not guard.is_green
    assert "compared no read" in guard.detail


def test_a_collection_that_was_routed_later_has_to_wait_for_the_whole_soak() -> None:
    routes = {**dict.fromkeys(ROUTABLE, SHADOWED), "teams": replace(SHADOWED, since=minutes(30))}
    assert not shadow_guard(ROUTED, at_minutes=89, routes=routes).is_green
    assert shadow_guard(ROUTED, at_minutes=90, routes=routes).is_green


def test_a_difference_is_red_until_somebody_sets_the_routes_again_and_the_soak_has_passed_since() -> None:
    differed = taken(SHADOW_STEP, 50)
    found = shadow_guard(ROUTED, differed, at_minutes=600)
    assert not found.is_green
    assert "tandem move verify --full" in found.remedy
    again = (ROUTED, differed, taken(Step.ROUTE, 70), taken(Step.ROUTE, 80))
    assert not shadow_guard(*again, at_minutes=129).is_green
    assert shadow_guard(*again, at_minutes=130).is_green


def test_without_a_soak_nothing_is_asked_but_a_difference_still_counts() -> None:
    assert shadow_guard(at_minutes=0, routes={}, reads=0, soak_seconds=0).is_green
    assert not shadow_guard(taken(SHADOW_STEP, 0), at_minutes=1, soak_seconds=0).is_green


@pytest.mark.parametrize("later", [Route(shadow_percent=50), Route(target_percent=100)])
def test_a_larger_share_does_not_begin_the_soak_anew(later: Route) -> None:
    assert later.replacing(SHADOWED, now=minutes(30)).since == BEGUN


@pytest.mark.parametrize("former", [None, Route(since=BEGUN)])
def test_a_route_after_none_begins_the_soak(former: Route | None) -> None:
    assert Route(shadow_percent=50).replacing(former, now=minutes(30)).since == minutes(30)
