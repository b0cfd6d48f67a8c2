"""Which step each phase of a move allows, and which share of the callers a route may name."""

import itertools

import pytest

from domain.errors import Conflict
from domain.migration import NEXT, Phase, Route, Step, require_step

MIRRORED = "mirroring backfilled verified reading cut-over"
LEGAL = {
    "backfill": MIRRORED,
    "pause": MIRRORED,
    "resume": MIRRORED,
    "verify": MIRRORED,
    "repair": MIRRORED,
    "route": "verified reading",
    "rehearse": "verified reading",
    "cutover": "verified reading",
    "rollback": "cut-over",
    "finish": "cut-over",
    "retire": "finished",
    "recover": MIRRORED,
}
"""The phases in which each step is possible."""


def is_legal(step: Step, phase: Phase) -> bool:
    return phase.replace(" ", "-") in LEGAL[step].split()


@pytest.mark.parametrize(("step", "phase"), list(itertools.product(Step, Phase)))
def test_a_step_is_possible_in_the_phases_of_the_table(step: Step, phase: Phase) -> None:
    if is_legal(step, phase):
        require_step(phase, step)
        return
    with pytest.raises(Conflict) as refused:
        require_step(phase, step)
    # The message names the step, the phase, and the command that helps.
    assert f"`{step}`" in refused.value.message
    assert f"`{phase}`" in refused.value.message
    assert NEXT[phase] in refused.value.message


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_names_what_to_type_next(phase: Phase) -> None:
    is_first = phase is Phase.SINGLE
    assert ("STORE=dual" if is_first else "`tandem move ") in NEXT[phase]


@pytest.mark.parametrize("percent", [-1, 101, 1_000])
def test_a_share_is_between_0_and_100_percent(percent: int) -> None:
    with pytest.raises(ValueError, match=f"not {percent}"):
        Route(shadow_percent=percent)
    with pytest.raises(ValueError, match=f"not {percent}"):
        Route(target_percent=percent)


def test_a_route_is_plain_if_nobody_reads_from_the_target() -> None:
    assert Route().is_plain
    assert Route(0, 0) == Route()
    assert not Route(shadow_percent=1).is_plain
    assert not Route(target_percent=100).is_plain
