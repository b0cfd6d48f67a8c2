"""What people do, and how it is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

Method = TypeVar("Method", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Act:
    """The name of a method of the machine, and with what it is called."""

    name: str
    arguments: Mapping[str, Any]

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({told})"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How often an act is drawn, for which machines, and with what."""

    weight: int
    where: Callable[[Any], object]
    drawn: st.SearchStrategy[Act]


_KINDS: Final[dict[str, _Kind]] = {}


def _always(_machine: object) -> bool:
    return True


def act(
    *, weight: int = 1, where: Callable[[Any], object] = _always, **arguments: st.SearchStrategy[Any]
) -> Callable[[Method], Method]:
    """Marks a method as something people do `where` it makes sense, `weight` times as often as others.

    Hypothesis' own rules are not for this: it leaves about half of them out of each run, which is good where runs are
    cheap and many. Here a run is some hundred requests, so each has everything in it.
    """

    def mark(method: Method) -> Method:
        name = method.__name__
        _KINDS[name] = _Kind(weight, where, st.builds(Act, st.just(name), st.fixed_dictionaries(arguments)))
        return method

    return mark


def possible_act() -> st.SearchStrategy[Act]:
    """What people may do next."""
    return st.runner().flatmap(_possible_to)


def _possible_to(machine: object) -> st.SearchStrategy[Act]:
    return _one_of(tuple(name for name in sorted(_KINDS) if _KINDS[name].where(machine)))


@cache
def _one_of(names: tuple[str, ...]) -> st.SearchStrategy[Act]:
    weighted = [name for name in names for _ in range(_KINDS[name].weight)]
    return st.sampled_from(weighted).flatmap(lambda name: _KINDS[name].drawn)
