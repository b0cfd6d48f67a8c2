"""The actions of the state machine, and how they are drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

Method = TypeVar("Method", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Action:
    """The name of a method of the state machine, and the arguments to call it with."""

    name: str
    arguments: Mapping[str, Any]

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({arguments})"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How often an action is drawn, in which states of the machine, and with which arguments."""

    weight: int
    where: Callable[[Any], object]
    drawn: st.SearchStrategy[Action]


_KINDS: Final[dict[str, _Kind]] = {}


def _always(_machine: object) -> bool:
    return True


def action(
    *, weight: int = 1, where: Callable[[Any], object] = _always, **arguments: st.SearchStrategy[Any]
) -> Callable[[Method], Method]:
    """Mark a method as an action, possible `where` the condition holds, `weight` times as likely as others.

    Hypothesis' own rules do not fit: it leaves about half of them out of each run, which is good where runs are cheap
    and many. A run here takes some hundred requests, so every run may draw every action.
    """

    def mark(method: Method) -> Method:
        name = method.__name__
        _KINDS[name] = _Kind(
            weight, where, st.builds(Action, st.just(name), st.fixed_dictionaries(arguments))
        )
        return method

    return mark


def possible_action() -> st.SearchStrategy[Action]:
    """The actions that are possible now."""
    return st.runner().flatmap(_possible_to)


def _possible_to(machine: object) -> st.SearchStrategy[Action]:
    return _one_of(tuple(name for name in sorted(_KINDS) if _KINDS[name].where(machine)))


@cache
def _one_of(names: tuple[str, ...]) -> st.SearchStrategy[Action]:
    weighted = [name for name in names for _ in range(_KINDS[name].weight)]
    return st.sampled_from(weighted).flatmap(lambda name: _KINDS[name].drawn)
