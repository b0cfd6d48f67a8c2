"""Values that must be unique: the oldest one keeps its value, the others get one that is free."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Final, TypeVar

from adapters.adoption.drafts import Draft, Drafts, oldest_first
from adapters.adoption.findings import NO_NUMBER, SAME_NAME, SAME_NUMBER, Findings
from domain.label import Label
from domain.name import name_key
from domain.role import Role
from domain.task import Task

N = TypeVar("N", Label, Role)


NUMBER_MAX: Final = 2**53 - 1
"""The highest display number that is believed, which every client can represent; others would leave none to follow."""


def is_display_number(number: int | None) -> bool:
    """Whether a task can have this number."""
    return number is not None and 1 <= number <= NUMBER_MAX


def number_tasks(tasks: Drafts[Task], findings: Findings, *, highest: int) -> int:
    """Gives a number to every task that has none of its own; returns the highest number in use.

    `highest` is the last number that the other service gave.
    """
    taken: set[int] = set()
    without: list[Draft[Task]] = []
    for draft in oldest_first(tasks.values()):
        number = draft.entity.display_id
        if number is None or number in taken:
            without.append(draft)
            if number is not None:
                draft.keep("tasks", "displayId", f"#{number}")
            findings.add(NO_NUMBER if number is None else SAME_NUMBER, "tasks", draft.entity.id)
        else:
            taken.add(number)
    numbers = count(max(highest, *taken, 0) + 1)
    for draft in without:
        draft.entity = replace(draft.entity, display_id=next(numbers))
    return next(numbers) - 1


def name_labels(labels: Drafts[Label], findings: Findings) -> None:
    """Gives every live label a name of its own, without regard to case, and the key that says so."""
    for draft in labels.values():
        draft.entity = _renamed_label(draft.entity, draft.entity.name)
    live = [draft for draft in oldest_first(labels.values()) if not draft.entity.is_deleted]
    for double in _renamed_doubles("labels", live, _renamed_label, key=lambda label: label.name_key):
        findings.add(SAME_NAME, "labels", double.id)


def name_roles(roles: Iterable[Draft[Role]], findings: Findings) -> None:
    """Gives every live role a name of its own in its scope."""
    live = [draft for draft in oldest_first(roles) if not draft.entity.is_deleted]
    for double in _renamed_doubles("roles", live, _renamed_role, key=lambda role: (role.scope, role.name)):
        findings.add(SAME_NAME, "roles", double.id)


def _renamed_label(label: Label, name: str) -> Label:
    return replace(label, name=name, name_key=name_key(name))


def _renamed_role(role: Role, name: str) -> Role:
    return replace(role, name=name)


def _renamed_doubles(
    collection: str,
    drafts: Sequence[Draft[N]],
    renamed: Callable[[N, str], N],
    *,
    key: Callable[[N], object],
) -> list[N]:
    """Puts a number behind the name of all but the first of those with one key; returns these."""
    taken = {key(draft.entity) for draft in drafts}
    first: set[object] = set()
    doubles: list[N] = []
    for draft in drafts:
        entity = draft.entity
        if key(entity) not in first:
            first.add(key(entity))
            continue
        names = (renamed(entity, f"{entity.name} ({number})") for number in count(2))
        draft.entity = next(one for one in names if key(one) not in taken)
        draft.keep(collection, "name", entity.name)
        taken.add(key(draft.entity))
        doubles.append(draft.entity)
    return doubles
