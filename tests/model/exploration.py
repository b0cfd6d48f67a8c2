"""Visits every state that a model can reach, breadth first, so that the first violation has a shortest trace."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

S = TypeVar("S", bound=Hashable)
Steps = Iterable[tuple[str, S]]
STATES_MAX = 150_000


@dataclass(frozen=True, slots=True)
class Result:
    """The number of states, and the steps that lead to the first violation; empty where there is none."""

    states: int
    violation: str | None
    trace: tuple[str, ...]


def explore(first: S, steps: Callable[[S], Steps[S]], violation: Callable[[S], str | None]) -> Result:
    """The result for a world. Raises AssertionError for a world that is too large to be explored completely."""
    before: dict[S, tuple[S, str] | None] = {first: None}
    waiting = deque([first])
    while waiting:
        state = waiting.popleft()
        found = violation(state)
        if found is not None:
            return Result(len(before), found, _trace(before, state))
        for label, following in steps(state):
            if following not in before:
                before[following] = (state, label)
                waiting.append(following)
        assert len(before) <= STATES_MAX, "this world is too large"
    return Result(len(before), None, ())


def _trace(before: dict[S, tuple[S, str] | None], state: S) -> tuple[str, ...]:
    labels: list[str] = []
    while (came := before[state]) is not None:
        state, label = came
        labels.append(label)
    return tuple(reversed(labels))
