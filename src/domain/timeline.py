"""The schedule of one project: items, dependencies and a calendar of working days."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import chain, groupby, islice
from typing import Self

from domain.entity import Entity, Stamp
from domain.errors import VIOLATIONS_MAX, RuleBroken, Violation
from domain.name import name_violations, normalized
from domain.storable import require_text, text_violations

ITEMS_MAX = 5_000
DEPENDENCIES_MAX = 20_000
HOLIDAYS_MAX = 1_000
TITLE_LENGTH_MAX = 500
MESSAGE_LENGTH_MAX = 1_000
ITEM_ID_LENGTH_MAX = 64
DURATION_MAX = 100_000
LAG_MAX = 10_000
_BEGIN, _END = "<", ">"
"""Before the id of an item: its begin and its end, when items are put in order."""


class Weekday(StrEnum):
    """Days of a working week."""

    MON = "MON"
    TUE = "TUE"
    WED = "WED"
    THU = "THU"
    FRI = "FRI"
    SAT = "SAT"
    SUN = "SUN"


class ItemKind(StrEnum):
    """A summary spans its children; a milestone has no duration, so it can span nothing."""

    TASK = "TASK"
    SUMMARY = "SUMMARY"
    MILESTONE = "MILESTONE"


class ItemMode(StrEnum):
    """AUTO items move with their dependencies, MANUAL items do not."""

    AUTO = "AUTO"
    MANUAL = "MANUAL"


class DependencyKind(StrEnum):
    """The ends that are linked, of the first and of the second item: finish or start."""

    FS = "FS"
    SS = "SS"
    FF = "FF"
    SF = "SF"


WORKING_WEEK = (Weekday.MON, Weekday.TUE, Weekday.WED, Weekday.THU, Weekday.FRI)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The working days of a project."""

    working_days: tuple[Weekday, ...] = WORKING_WEEK
    holidays: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineItem:
    """One bar, bracket or diamond of the chart. `duration` counts working days."""

    id: str
    kind: ItemKind = ItemKind.TASK
    task_id: str | None = None
    parent_id: str | None = None
    title: str | None = None
    start: date | None = None
    end: date | None = None
    duration: int | None = None
    mode: ItemMode = ItemMode.AUTO
    not_before: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """The second item waits for the first; `lag` counts working days and may be negative."""

    from_: str
    to: str
    kind: DependencyKind = DependencyKind.FS
    lag: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The content of one version of a timeline, as a user saves it."""

    calendar: Calendar = Calendar()
    items: tuple[TimelineItem, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    message: str | None = None

    def content(self) -> dict[str, object]:
        """The fields by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def check(self) -> None:
        """Raises RuleBroken with the violations: values out of bounds, unknown, duplicate or self-linked items, cycles
        (also those through what an item contains), milestones that contain items, and ends before starts.

        Each step relies on the one before it, which found no violations; each stops at VIOLATIONS_MAX.
        """
        steps = (
            _size_violations(self),
            chain(_item_violations(self.items), _dependency_violations(self)),
            chain(_parent_cycle_violations(self.items), _cycle_violations(self)),
        )
        for step in steps:
            if violations := list(islice(step, VIOLATIONS_MAX)):
                raise RuleBroken(
                    "The timeline is inconsistent; correct the fields named.", violations=violations
                )
        if self.message is not None:
            require_text(self.message, "/message", longest=MESSAGE_LENGTH_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline(Entity):
    """There is one per project, and it has the project's id."""

    calendar: Calendar = Calendar()
    items: tuple[TimelineItem, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    message: str | None = None

    @classmethod
    def create(cls, project_id: str, stamp: Stamp, plan: Plan) -> Self:
        """Version 1 of a project's timeline. Raises RuleBroken for an inconsistent plan."""
        plan.check()
        return cls._first(project_id, stamp, **plan.content())

    def save(self, stamp: Stamp, plan: Plan) -> Self:
        """The timeline with this plan; the same object if only the message differs. Raises RuleBroken as `create`."""
        self.require_live()
        plan.check()
        if (plan.calendar, plan.items, plan.dependencies) == (self.calendar, self.items, self.dependencies):
            return self
        return self._next(stamp, **plan.content())


def _size_violations(plan: Plan) -> Iterator[Violation]:
    bounds = (
        ("/items", len(plan.items), ITEMS_MAX),
        ("/dependencies", len(plan.dependencies), DEPENDENCIES_MAX),
        ("/calendar/holidays", len(plan.calendar.holidays), HOLIDAYS_MAX),
    )
    for pointer, count, most in bounds:
        if count > most:
            yield Violation(pointer, f"has {count} elements; at most {most} are allowed")
    if not plan.calendar.working_days:
        yield Violation("/calendar/workingDays", "must name at least one working day")
    yield from _repeated(plan.calendar.working_days, "/calendar/workingDays")
    yield from _repeated(plan.calendar.holidays, "/calendar/holidays")


def _repeated(days: Iterable[Weekday | date], pointer: str) -> Iterator[Violation]:
    seen: set[Weekday | date] = set()
    for index, day in enumerate(days):
        if day in seen:
            yield Violation(f"{pointer}/{index}", f"names {day} more than once")
        seen.add(day)


def _item_violations(items: tuple[TimelineItem, ...]) -> Iterator[Violation]:
    known = Counter(item.id for item in items)
    milestones = {item.id for item in items if item.kind is ItemKind.MILESTONE}
    for index, item in enumerate(items):
        pointer = f"/items/{index}"
        yield from _value_violations(item, pointer)
        if known[item.id] > 1:
            yield Violation(f"{pointer}/id", f"“{item.id}” is the id of more than one item")
        if item.parent_id is not None and item.parent_id not in known:
            yield Violation(f"{pointer}/parentId", f"names the unknown item “{item.parent_id}”")
        if item.parent_id in milestones:
            yield Violation(
                f"{pointer}/parentId", f"milestone “{item.parent_id}” cannot contain item “{item.id}”"
            )
        if item.start is not None and item.end is not None and item.end < item.start:
            yield Violation(f"{pointer}/end", f"item “{item.id}” ends before it starts")
        if item.kind is ItemKind.MILESTONE and item.duration not in (None, 0):
            yield Violation(f"{pointer}/duration", f"milestone “{item.id}” must have the duration 0")


def _value_violations(item: TimelineItem, pointer: str) -> Iterator[Violation]:
    yield from text_violations(item.id, f"{pointer}/id", shortest=1, longest=ITEM_ID_LENGTH_MAX)
    if item.id:
        yield from name_violations(item.id, f"{pointer}/id")
        if item.id != normalized(item.id):
            yield Violation(
                f"{pointer}/id", "must be in Unicode's form NFC, without white space at either end"
            )
    if item.title is not None:
        yield from text_violations(item.title, f"{pointer}/title", longest=TITLE_LENGTH_MAX)
        if item.title.strip():
            yield from name_violations(item.title, f"{pointer}/title")
        else:
            yield Violation(f"{pointer}/title", f"item “{item.id}” has a blank title; leave it out instead")
    if item.duration is not None and not 0 <= item.duration <= DURATION_MAX:
        yield Violation(f"{pointer}/duration", f"must be from 0 to {DURATION_MAX} working days")


def _dependency_violations(plan: Plan) -> Iterator[Violation]:
    known = {item.id for item in plan.items}
    seen: set[tuple[str, str]] = set()
    for index, dependency in enumerate(plan.dependencies):
        pointer = f"/dependencies/{index}"
        link = (dependency.from_, dependency.to)
        for end, name in (("from", dependency.from_), ("to", dependency.to)):
            if name not in known:
                yield Violation(f"{pointer}/{end}", f"names the unknown item “{name}”")
        if not -LAG_MAX <= dependency.lag <= LAG_MAX:
            yield Violation(f"{pointer}/lag", f"must be from -{LAG_MAX} to {LAG_MAX} working days")
        if dependency.from_ == dependency.to:
            yield Violation(pointer, f"item “{dependency.to}” waits for itself")
        elif link in seen:
            yield Violation(pointer, f"“{link[0]}” and “{link[1]}” are linked more than once")
        seen.add(link)


def _parent_cycle_violations(items: tuple[TimelineItem, ...]) -> Iterator[Violation]:
    parents = {item.id: [item.parent_id] for item in items if item.parent_id is not None}
    if cycle := first_cycle(parents):
        yield Violation("/items", f"items contain each other: {' → '.join(cycle)}")


def _cycle_violations(plan: Plan) -> Iterator[Violation]:
    if cycle := first_cycle(_order(plan)):
        names = [name for name, _ in groupby(event[len(_BEGIN) :] for event in cycle)]
        yield Violation("/dependencies", f"items wait for each other: {' → '.join(names)}")


def _order(plan: Plan) -> dict[str, list[str]]:
    """By the begin and the end of each item, what comes after it: an item that contains others begins before them and
    ends after them, so whatever waits for it waits for them, and they wait for whatever it waits for.
    """
    after: dict[str, list[str]] = {f"{_BEGIN}{item.id}": [f"{_END}{item.id}"] for item in plan.items}
    for item in plan.items:
        if item.parent_id is not None:
            after[f"{_BEGIN}{item.parent_id}"].append(f"{_BEGIN}{item.id}")
            after.setdefault(f"{_END}{item.id}", []).append(f"{_END}{item.parent_id}")
    for dependency in plan.dependencies:
        after.setdefault(f"{_END}{dependency.from_}", []).append(f"{_BEGIN}{dependency.to}")
    return after


def first_cycle(successors: Mapping[str, Iterable[str]]) -> list[str]:
    """One cycle of a directed graph, with its first node again at the end; empty if there is none.

    A depth-first search with an explicit stack, because a long chain would exhaust Python's own.
    """
    finished: set[str] = set()
    for root in successors:
        path: dict[str, None] = {}
        stack: list[tuple[str, Iterator[str]]] = [] if root in finished else [(root, iter(successors[root]))]
        if stack:
            path[root] = None
        while stack:
            node, following = stack[-1]
            step = next(following, None)
            if step is None:
                finished.add(node)
                path.pop(node)
                stack.pop()
            elif step in path:
                names = list(path)
                return [*names[names.index(step) :], step]
            elif step not in finished:
                path[step] = None
                stack.append((step, iter(successors.get(step, ()))))
    return []
