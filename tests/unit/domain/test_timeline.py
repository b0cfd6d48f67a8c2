from collections.abc import Iterator
from datetime import date

import pytest

from domain.errors import VIOLATIONS_MAX, RuleBroken
from domain.timeline import (
    DURATION_MAX,
    ITEM_ID_LENGTH_MAX,
    ITEMS_MAX,
    LAG_MAX,
    TITLE_LENGTH_MAX,
    Calendar,
    Dependency,
    DependencyKind,
    ItemKind,
    Plan,
    Timeline,
    TimelineItem,
    Weekday,
    first_cycle,
)
from tests.unit.builders import numbered_id, stamp


def items(*ids: str) -> tuple[TimelineItem, ...]:
    return tuple(TimelineItem(id=id_) for id_ in ids)


def link(first: str, second: str) -> Dependency:
    return Dependency(from_=first, to=second)


FAULTY = {
    "double item": (Plan(items=items("a", "a")), "/items/0/id"),
    "unknown parent": (Plan(items=(TimelineItem(id="a", parent_id="z"),)), "/items/0/parentId"),
    "ends before it starts": (
        Plan(items=(TimelineItem(id="a", start=date(2026, 3, 2), end=date(2026, 3, 1)),)),
        "/items/0/end",
    ),
    "empty item id": (Plan(items=items(" ")), "/items/0/id"),
    "long item id": (Plan(items=items("a" * (ITEM_ID_LENGTH_MAX + 1))), "/items/0/id"),
    "long item title": (
        Plan(items=(TimelineItem(id="a", title="x" * (TITLE_LENGTH_MAX + 1)),)),
        "/items/0/title",
    ),
    "item title of two lines": (Plan(items=(TimelineItem(id="a", title="a\nb"),)), "/items/0/title"),
    "item title that turns the direction": (
        Plan(items=(TimelineItem(id="a", title="a\u202eb"),)),
        "/items/0/title",
    ),
    "blank item title": (Plan(items=(TimelineItem(id="a", title=" "),)), "/items/0/title"),
    "empty item title": (Plan(items=(TimelineItem(id="a", title=""),)), "/items/0/title"),
    "milestone that contains an item": (
        Plan(items=(TimelineItem(id="m", kind=ItemKind.MILESTONE), TimelineItem(id="a", parent_id="m"))),
        "/items/1/parentId",
    ),
    "working day twice": (
        Plan(calendar=Calendar(working_days=(Weekday.MON, Weekday.TUE, Weekday.MON))),
        "/calendar/workingDays/2",
    ),
    "holiday twice": (
        Plan(calendar=Calendar(holidays=(date(2026, 12, 25), date(2026, 12, 25)))),
        "/calendar/holidays/1",
    ),
    "invisible item title": (Plan(items=(TimelineItem(id="a", title="\u200b"),)), "/items/0/title"),
    "item title that no store can hold": (
        Plan(items=(TimelineItem(id="a", title="a\x00b"),)),
        "/items/0/title",
    ),
    "negative duration": (Plan(items=(TimelineItem(id="a", duration=-1),)), "/items/0/duration"),
    "long duration": (Plan(items=(TimelineItem(id="a", duration=DURATION_MAX + 1),)), "/items/0/duration"),
    "long lag": (
        Plan(items=items("a", "b"), dependencies=(Dependency(from_="a", to="b", lag=LAG_MAX + 1),)),
        "/dependencies/0/lag",
    ),
    "milestone that lasts": (
        Plan(items=(TimelineItem(id="a", kind=ItemKind.MILESTONE, duration=1),)),
        "/items/0/duration",
    ),
    "unknown successor": (Plan(items=items("a"), dependencies=(link("a", "z"),)), "/dependencies/0/to"),
    "self link": (Plan(items=items("a"), dependencies=(link("a", "a"),)), "/dependencies/0"),
    "double link": (
        Plan(items=items("a", "b"), dependencies=(link("a", "b"), link("a", "b"))),
        "/dependencies/1",
    ),
    "cycle": (
        Plan(items=items("a", "b", "c"), dependencies=(link("a", "b"), link("b", "c"), link("c", "a"))),
        "/dependencies",
    ),
    "items that contain each other": (
        Plan(items=(TimelineItem(id="a", parent_id="b"), TimelineItem(id="b", parent_id="a"))),
        "/items",
    ),
    "no working day": (Plan(calendar=Calendar(working_days=())), "/calendar/workingDays"),
    "too many items": (Plan(items=items(*map(str, range(ITEMS_MAX + 1)))), "/items"),
}


@pytest.mark.parametrize(("plan", "pointer"), FAULTY.values(), ids=FAULTY.keys())
def test_a_plan_that_contradicts_itself_is_refused_with_its_place(plan: Plan, pointer: str) -> None:
    with pytest.raises(RuleBroken) as refusal:
        Timeline.create(numbered_id(1), stamp(), plan)
    assert pointer in [violation.pointer for violation in refusal.value.violations]


def test_a_plan_that_is_too_large_is_refused_before_anything_else_is_looked_at() -> None:
    plan = Plan(items=items(*["a"] * (ITEMS_MAX + 1)), dependencies=(link("a", "z"),))
    with pytest.raises(RuleBroken) as refusal:
        plan.check()
    assert [violation.pointer for violation in refusal.value.violations] == ["/items"]


def test_no_more_contradictions_are_looked_for_than_are_shown() -> None:
    seen: list[Dependency] = []

    class Links(tuple[Dependency, ...]):
        __slots__ = ()

        def __iter__(self) -> Iterator[Dependency]:
            for dependency in super().__iter__():
                seen.append(dependency)
                yield dependency

    plan = Plan(items=items("a"), dependencies=Links([link("y", "a")] * 20_000))
    with pytest.raises(RuleBroken) as refusal:
        plan.check()
    assert len(refusal.value.violations) == VIOLATIONS_MAX
    assert 0 < len(seen) <= VIOLATIONS_MAX


def test_a_cycle_is_named() -> None:
    plan = Plan(items=items("a", "b"), dependencies=(link("a", "b"), link("b", "a")))
    with pytest.raises(RuleBroken) as refusal:
        plan.check()
    assert "a → b → a" in refusal.value.violations[0].message


def contained(parent: str, *ids: str) -> tuple[TimelineItem, ...]:
    summary = TimelineItem(id=parent, kind=ItemKind.SUMMARY)
    return (summary, *(TimelineItem(id=id_, parent_id=parent) for id_ in ids))


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (Plan(items=contained("s", "c"), dependencies=(link("s", "c"),)), {"s", "c"}),
        (Plan(items=contained("s", "c"), dependencies=(link("c", "s"),)), {"s", "c"}),
        (
            Plan(items=(*contained("s", "c"), *items("d")), dependencies=(link("s", "d"), link("d", "c"))),
            {"s", "c", "d"},
        ),
        (
            Plan(
                items=(*contained("s", "a", "b"), *contained("t", "c", "d")),
                dependencies=(link("a", "t"), link("d", "s")),
            ),
            {"s", "a", "t", "d"},
        ),
        (
            Plan(
                items=(*contained("s", "m"), TimelineItem(id="deep", parent_id="m"), *items("d")),
                dependencies=(link("s", "d"), link("d", "deep")),
            ),
            {"s", "m", "deep", "d"},
        ),
    ],
)
def test_a_cycle_through_what_an_item_contains_is_named(plan: Plan, named: set[str]) -> None:
    with pytest.raises(RuleBroken) as refusal:
        plan.check()
    (violation,) = refusal.value.violations
    assert violation.pointer == "/dependencies"
    names = violation.message.removeprefix("items wait for each other: ").split(" → ")
    assert names[0] == names[-1]
    assert set(names) == named
    assert len(names) == len(named) + 1


def test_items_of_two_summaries_may_wait_for_each_other_in_turn() -> None:
    plan = Plan(
        items=(*contained("s", "a", "b"), *contained("t", "c", "d")),
        dependencies=(link("a", "c"), link("c", "b"), link("b", "d")),
    )
    assert Timeline.create(numbered_id(1), stamp(), plan).dependencies == plan.dependencies


def test_saving_what_is_there_already_makes_no_version() -> None:
    plan = Plan(items=items("a", "b"), dependencies=(link("a", "b"),), message="first")
    timeline = Timeline.create(numbered_id(1), stamp(), plan)
    assert timeline.save(stamp(1), plan) is timeline


def test_the_kind_of_a_dependency_and_the_calendar_are_content() -> None:
    plan = Plan(items=items("a", "b"), dependencies=(link("a", "b"),))
    timeline = Timeline.create(numbered_id(1), stamp(), plan)
    other_kind = Plan(items=plan.items, dependencies=(Dependency(from_="a", to="b", kind=DependencyKind.SS),))
    other_week = Plan(
        calendar=Calendar(working_days=(Weekday.SUN,)), items=plan.items, dependencies=plan.dependencies
    )
    assert timeline.save(stamp(1), other_kind).version == 2
    assert timeline.save(stamp(1), other_week).version == 2


def test_a_chain_longer_than_pythons_stack_is_walked() -> None:
    chain = {str(n): [str(n + 1)] for n in range(20_000)}
    assert first_cycle(chain) == []
    assert len(first_cycle({**chain, "20000": ["0"]})) == 20_002


def test_a_diamond_is_no_cycle() -> None:
    assert first_cycle({"a": ["b", "c"], "b": ["d"], "c": ["d"]}) == []
