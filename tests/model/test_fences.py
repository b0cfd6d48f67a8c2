"""A writer that sleeps through the closing of a gate commits nothing afterwards."""

import pytest

from tests.model.exploration import explore
from tests.model.fence_world import FenceModel, FenceRules, FenceWorld


@pytest.mark.parametrize("registration", ["conflicts", "checks"])
def test_no_commit_comes_after_the_barrier(registration: str) -> None:
    model = FenceModel(FenceRules(registration=registration))
    result = explore(FenceWorld(), model.steps, model.violation)
    assert (result.violation, result.trace) == (None, ())


@pytest.mark.parametrize(
    "rules",
    [
        FenceRules(commit_checks="memory"),
        FenceRules(commit_checks="snapshot"),
        FenceRules(commit_checks="time"),
        FenceRules(record_first=False),
        FenceRules(registration="ignores"),
        FenceRules(record_first=False, registration="checks"),
    ],
    ids=str,
)
def test_an_unsound_fence_is_caught(rules: FenceRules) -> None:
    model = FenceModel(rules)
    assert explore(FenceWorld(), model.steps, model.violation).violation is not None
