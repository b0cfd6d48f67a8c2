from dataclasses import dataclass
from typing import ClassVar

import pytest

from entrypoints.composition.building import Builder, MissingPart


@dataclass(frozen=True)
class CountVisitors:
    """A use case with a part."""

    doors: tuple[str, ...]


@dataclass(frozen=True)
class WelcomeVisitors:
    """A use case that not every installation has."""

    greeting: str
    count: CountVisitors


class VisitorController:
    """Takes use cases as keywords, as controllers do."""

    path: ClassVar[str] = "/visitors"

    count: CountVisitors
    welcome: WelcomeVisitors | None

    def __init__(self, count: CountVisitors, welcome: WelcomeVisitors | None) -> None:
        self.count, self.welcome = count, welcome


def test_what_is_asked_for_is_built_with_all_that_it_is_made_of() -> None:
    builder = Builder({"doors": lambda: ("front",), "greeting": lambda: "Hello"})

    controller = builder.build(VisitorController)

    assert controller.welcome == WelcomeVisitors("Hello", CountVisitors(("front",)))
    assert controller.welcome.count is controller.count
    assert builder.build(VisitorController) is controller


def test_a_missing_part_is_named_with_the_class_and_the_attribute() -> None:
    with pytest.raises(MissingPart, match=r"CountVisitors\.doors: there is no part of this name"):
        Builder({"greeting": lambda: "Hello"}).build(VisitorController)


def test_an_optional_use_case_is_left_out_where_the_installation_lacks_its_part() -> None:
    controller = Builder({"doors": lambda: (), "greeting": lambda: None}).build(VisitorController)

    assert controller.welcome is None


def test_a_part_that_is_needed_cannot_be_none() -> None:
    with pytest.raises(
        MissingPart, match=r"WelcomeVisitors\.greeting: this installation is configured without"
    ):
        Builder({"doors": lambda: (), "greeting": lambda: None}).build(WelcomeVisitors)


def test_an_optional_use_case_does_not_hide_that_a_part_is_missing() -> None:
    with pytest.raises(MissingPart, match=r"WelcomeVisitors\.greeting"):
        Builder({"doors": lambda: ()}).build(VisitorController)


def test_a_part_that_nothing_asks_for_is_never_made() -> None:
    def fail() -> object:
        raise AssertionError("made in vain")

    builder = Builder({"doors": lambda: ("front",), "keys": fail})

    assert builder.with_parts(greeting="Hi").build(CountVisitors) == CountVisitors(("front",))
