"""People who do at random what the interface offers, and the model that says what each of them must see of it.

Every journey brings people of its own, so one service serves them all. The short form always takes the same steps. The
long one begins with a seed of its own, which its figures name and JOURNEY_SEED sets, and counts on from there. Where a
journey fails Hypothesis prints its steps; over the store in memory it looks for a shorter one that fails as well.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.journeys.service import running
from tests.integration.journeys.state_machine.complete_machine import WholeJourney
from tests.integration.journeys.state_machine.driver import World, in_process
from tests.integration.journeys.topologies import MODES, variables_of
from tests.servers.report import note_figures

MEMORY = "memory"
SEED_VARIABLE = "JOURNEY_SEED"
STEPS = 40
SEED_SHORT = 1
JOURNEYS_SHORT = {MEMORY: 8, **dict.fromkeys(MODES, 4)}
"""The first of a seed is a dull one: the same simple thing again and again."""
JOURNEYS_LONG = 10
"""Of one seed: from the eleventh on, Hypothesis varies those before instead of making new ones."""
ROUNDS = 10
"""How many seeds the long form takes."""
REFUSALS = {403, 404, 409, 412, 422}
GRANTED_MIN = 16
"""How many kinds of requests must have succeeded at least once, or the journeys went nowhere."""


@pytest.fixture(scope="module", params=(MEMORY, *MODES))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A service in each of the four store modes, and the application over a store in memory."""
    with ExitStack() as opened:
        runner = opened.enter_context(asyncio.Runner())
        if request.param == MEMORY:
            yield World(request.param, runner, runner.run(in_process()))
            return
        service = running(opened.enter_context(variables_of(request.param, request)))
        opened.callback(lambda: runner.run(service.__aexit__(None, None, None)))
        yield World(request.param, runner, runner.run(service.__aenter__()))


@pytest.fixture(scope="module")
def first_seed() -> int:
    """What the long form begins with."""
    return int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))


def travel(world: World, *, from_seed: int, journeys: int) -> None:
    """Makes journeys, and compares the stores afterwards."""

    class Travelling(WholeJourney):
        pass

    Travelling.world = world
    world.outcomes.clear()
    world.sign_admin_in()
    started = time.monotonic()
    try:
        run_state_machine_as_test(
            seed(from_seed)(Travelling),
            settings=settings(
                max_examples=journeys,
                stateful_step_count=STEPS,
                phases=(Phase.generate,),
                deadline=None,
                database=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except BaseException as error:
        error.add_note(f"{SEED_VARIABLE}={from_seed} begins with these journeys again.")
        raise
    world.require_sound()
    seconds = round(time.monotonic() - started, 1)
    statuses = dict(sorted(world.statuses().items()))
    note_figures(
        f"journeys over {world.mode}", seed=from_seed, journeys=journeys, seconds=seconds, answers=statuses
    )


@pytest.mark.parametrize(
    "world",
    # MontyDB with a mirror takes the place of MontyDB alone.
    [pytest.param(mode, marks=pytest.mark.torture if mode == "monty" else ()) for mode in (MEMORY, *MODES)],
    indirect=True,
)
def test_people_see_what_the_model_says_whatever_they_do(world: World) -> None:
    travel(world, from_seed=SEED_SHORT, journeys=JOURNEYS_SHORT[world.mode])
    assert world.statuses().keys() >= REFUSALS
    assert len(world.granted()) >= GRANTED_MIN, sorted(world.granted())


@pytest.mark.torture
@pytest.mark.parametrize("place", range(ROUNDS))
def test_people_see_what_the_model_says_however_long_they_go_on(
    world: World, first_seed: int, place: int
) -> None:
    travel(world, from_seed=first_seed + place, journeys=JOURNEYS_LONG)
