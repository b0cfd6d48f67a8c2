"""One caller always sees the same store, and every process knows a route before any process uses it."""

import pytest

from adapters.migration.routes import (
    PROPAGATION_SECONDS,
    ROUTES_AGE_SECONDS_MAX,
    Answerer,
    Routes,
    answerer_of,
    share_of,
)
from domain.migration import Route
from tests.unit.adapters.migration.routed_world import Time
from tests.unit.builders import numbered_id

CALLERS = [numbered_id(number) for number in range(10_000)]
TO_TARGET = {"tasks": Route(target_percent=10)}


@pytest.mark.parametrize("percent", [1, 10, 50, 99])
@pytest.mark.parametrize("answerer", [Answerer.TARGET, Answerer.SHADOW])
def test_a_percentage_of_the_callers_is_routed_within_one_percent(percent: int, answerer: Answerer) -> None:
    is_target = answerer is Answerer.TARGET
    route = Route(target_percent=percent) if is_target else Route(shadow_percent=percent)
    routed = sum(answerer_of(route, caller) is answerer for caller in CALLERS)
    assert abs(routed - percent * 100) <= 100


def test_a_larger_percentage_keeps_the_callers_of_a_smaller_one() -> None:
    few, many = Route(target_percent=10), Route(target_percent=11)
    for caller in CALLERS:
        if answerer_of(few, caller) is Answerer.TARGET:
            assert answerer_of(many, caller) is Answerer.TARGET


def test_shares_of_target_and_shadow_do_not_overlap_up_to_a_hundred() -> None:
    route = Route(shadow_percent=60, target_percent=40)
    found = {answerer_of(route, caller) for caller in CALLERS}
    assert found == {Answerer.TARGET, Answerer.SHADOW}


def test_the_place_of_a_caller_is_the_same_everywhere() -> None:
    assert share_of("5f1e9b0c2d3a4b5c6d7e8f90") == 99.08


def test_a_route_to_the_target_is_used_only_once_every_process_knows_it() -> None:
    time = Time()
    routes = Routes(monotonic=time.monotonic)
    routes.learn(TO_TARGET, asked_at=time.seconds)
    assert not routes.may_use_target("tasks")
    time.seconds += PROPAGATION_SECONDS
    routes.learn(TO_TARGET, asked_at=time.seconds)
    assert routes.may_use_target("tasks")
    assert not routes.may_use_target("labels")


def test_a_process_that_has_not_read_the_routes_lately_uses_none_and_trusts_nobody() -> None:
    time = Time()
    routes = Routes(monotonic=time.monotonic)
    routes.learn({}, asked_at=time.seconds)
    known = routes.others_may_use_target
    time.seconds += PROPAGATION_SECONDS + ROUTES_AGE_SECONDS_MAX
    assert (known, routes.others_may_use_target) == (False, True)
    assert not routes.may_use_target("tasks")


def test_a_removed_route_counts_until_every_process_knows() -> None:
    time = Time()
    routes = Routes(monotonic=time.monotonic)
    routes.learn(TO_TARGET, asked_at=time.seconds)
    time.seconds += 1
    routes.learn({}, asked_at=time.seconds)
    assert routes.used == {}
    assert routes.others_may_use_target
    time.seconds += PROPAGATION_SECONDS
    routes.learn({}, asked_at=time.seconds)
    assert not routes.others_may_use_target


def test_sessions_tokens_and_entries_are_never_routed() -> None:
    routes = Routes()
    everything = Route(target_percent=100)
    routes.learn(dict.fromkeys(("sessions", "api_tokens", "audit_logs", "control"), everything), asked_at=0)
    assert routes.used == {}
    assert not routes.has_target_routes


def test_a_collection_that_was_left_off_is_routed_again_by_another_route() -> None:
    routes = Routes()
    routes.learn(TO_TARGET, asked_at=0)
    routes.leave_off("tasks")
    routes.learn(TO_TARGET, asked_at=1)
    assert routes.used == {}
    routes.learn({"tasks": Route(target_percent=5)}, asked_at=2)
    assert routes.used == {"tasks": Route(target_percent=5)}
