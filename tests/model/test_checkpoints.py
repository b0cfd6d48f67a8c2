"""Checkpointed lanes are left out of comparisons, and still no older copy of the mirror goes unnoticed."""

import pytest

from tests.model.checkpoint_world import CheckpointModel, Limits, Rule, World
from tests.model.exploration import explore

LIMITS = (Limits(checkpoints=2), Limits(copies=2, lanes=1))


@pytest.mark.parametrize("limits", LIMITS, ids=["two checkpoints", "two copies"])
def test_no_restore_of_the_mirror_hides_behind_a_checkpoint(limits: Limits) -> None:
    model = CheckpointModel(Rule.SOUND, limits)
    result = explore(World(), model.steps, model.violation)
    assert (result.violation, result.trace) == (None, ())
    assert result.states > 1_000


@pytest.mark.parametrize("rule", [rule for rule in Rule if rule is not Rule.SOUND])
def test_an_unsound_variant_is_caught(rule: Rule) -> None:
    models = [CheckpointModel(rule, limits) for limits in LIMITS]
    assert any(explore(World(), model.steps, model.violation).violation for model in models)
