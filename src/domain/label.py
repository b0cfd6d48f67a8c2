"""A label: a coloured word that is attached to tasks."""

from dataclasses import dataclass
from typing import Self, TypedDict

from domain.entity import Entity, Stamp, derived_id
from domain.name import name_key, require_name
from domain.project import require_color

NAME_LENGTH_MAX = 100
DEFAULT_COLOR = "#6b7280"
FIRST_LABELS = {
    "bug": "#dc2626",
    "feature": "#16a34a",
    "idea": "#d97706",
    "question": "#7c3aed",
    "documentation": "#2563eb",
    "chore": "#64748b",
}
"""Names and colours of the labels that a new installation starts with. They can be changed like any other label."""


class LabelChanges(TypedDict, total=False):
    """Changes of a label; an absent field is unchanged."""

    name: str
    color: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Entity):
    """Names are unique among live labels without regard to case: no two have the same `name_key`."""

    name: str
    color: str = DEFAULT_COLOR
    name_key: str | None = None

    @classmethod
    def create(cls, id: str, stamp: Stamp, changes: LabelChanges) -> Self:
        """Version 1 of a label. Raises RuleBroken for an invalid field."""
        return cls._first(id, stamp, **_checked(changes))

    def edit(self, stamp: Stamp, changes: LabelChanges) -> Self:
        """The label with these changes; the same object if nothing differs. Raises as `create`."""
        self.require_live()
        return self._next(stamp, **_checked(changes))


def first_label_id(name: str) -> str:
    """The id of a label that a new installation starts with; it shows whether the label was ever created."""
    return derived_id("labels", name)


def _checked(changes: LabelChanges) -> dict[str, object]:
    if "color" in changes:
        require_color(changes["color"])
    if "name" not in changes:
        return {**changes}
    name = require_name(changes["name"], "/name", longest=NAME_LENGTH_MAX)
    return {**changes, "name": name, "name_key": name_key(name)}
