"""Settled lanes are left out of comparisons, and still no older copy of the mirror goes unnoticed."""

import pytest

from tests.model.exploration import explore
from tests.model.settlement_world import Limits, SettlementModel, Settling, World

LIMITS = (Limits(settlements=2), Limits(copies=2, lanes=1))


@pytest.mark.parametrize("limits", LIMITS, ids=["two settlements", "two copies"])
def test_no_restore_of_the_mirror_hides_behind_settled_lanes(limits: Limits) -> None:
    model = SettlementModel(Settling.SOUND, limits)
    result = explore(World(), model.steps, model.violation)
    assert (result.violation, result.trace) == (None, ())
    assert result.states > 1_000


@pytest.mark.parametrize("rule", [rule for rule in Settling if rule is not Settling.SOUND])
def test_an_unsound_variant_is_caught(rule: Settling) -> None:
    models = [SettlementModel(rule, limits) for limits in LIMITS]
    assert any(explore(World(), model.steps, model.violation).violation for model in models)
