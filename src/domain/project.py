"""A project: the roof over tasks and one schedule."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypedDict

from domain.entity import Entity, Stamp, first_stamps
from domain.errors import RuleBroken, Violation
from domain.name import require_name
from domain.storable import require_text

NAME_LENGTH_MAX = 200
DESCRIPTION_LENGTH_MAX = 10_000
COLOR_PATTERN = r"^#[0-9a-f]{6}$"


class ProjectStatus(StrEnum):
    """Archived projects are kept and hidden from daily work; that is not the trash."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


class ProjectChanges(TypedDict, total=False):
    """What may change after creation; absent means unchanged, None clears."""

    name: str
    description: str | None
    status: ProjectStatus
    owner_id: str
    team_id: str | None
    color: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(Entity):
    """Names are unique per owner among live projects."""

    name: str
    owner_id: str
    description: str | None = None
    status: ProjectStatus = ProjectStatus.ACTIVE
    team_id: str | None = None
    color: str | None = None

    @classmethod
    def create(cls, id: str, stamp: Stamp, *, owner_id: str, changes: ProjectChanges) -> Self:
        """Version 1 of a project. Raises RuleBroken where a field does not fit."""
        fields: dict[str, object] = {"owner_id": owner_id, **_checked(changes)}
        return cls(**first_stamps(id, stamp), **fields)  # type: ignore[arg-type]

    def edit(self, stamp: Stamp, changes: ProjectChanges) -> Self:
        """The project with these changes; the same object where they change nothing."""
        self.require_live()
        return self._next(stamp, **_checked(changes))

    def lose_team(self, stamp: Stamp) -> Self:
        """The project with its owner alone, its team removed for good, also while the project is in the trash."""
        return self._next(stamp, team_id=None)


def _checked(changes: ProjectChanges) -> ProjectChanges:
    if (description := changes.get("description")) is not None:
        require_text(description, "/description", longest=DESCRIPTION_LENGTH_MAX)
    if (color := changes.get("color")) is not None:
        require_color(color)
    if "name" not in changes:
        return changes
    return {**changes, "name": require_name(changes["name"], "/name", longest=NAME_LENGTH_MAX)}


def require_color(color: str) -> str:
    """The colour as `#rrggbb`, lower case. Raises RuleBroken otherwise."""
    if re.fullmatch(COLOR_PATTERN, color) is None:
        raise RuleBroken(
            "A colour is written #rrggbb.", violations=[Violation("/color", "is not written #rrggbb")]
        )
    return color
