"""A project: tasks and one schedule."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypedDict

from domain.entity import Entity, Stamp
from domain.errors import RuleBroken, Violation
from domain.name import require_name
from domain.storable import require_text

NAME_LENGTH_MAX = 200
DESCRIPTION_LENGTH_MAX = 10_000
COLOR_PATTERN = r"^#[0-9a-f]{6}$"


class ProjectStatus(StrEnum):
    """Archived projects are kept but hidden from daily work; they are not in the trash."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


class ProjectChanges(TypedDict, total=False):
    """Changes of a project; an absent field is unchanged, None clears it."""

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
        """Version 1 of a project. Raises RuleBroken for an invalid field."""
        return cls._first(id, stamp, **{"owner_id": owner_id, **_checked(changes)})

    def edit(self, stamp: Stamp, changes: ProjectChanges) -> Self:
        """The project with these changes; the same object if nothing differs. Raises as `create`."""
        self.require_live()
        return self._next(stamp, **_checked(changes))

    def lose_team(self, stamp: Stamp) -> Self:
        """The project without its team, which was permanently removed; also for a project in the trash."""
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
    """The colour. Raises RuleBroken unless it is `#rrggbb` in lower case."""
    if re.fullmatch(COLOR_PATTERN, color) is None:
        raise RuleBroken(
            "Write the colour as #rrggbb.", violations=[Violation("/color", "must have the form #rrggbb")]
        )
    return color
