"""What the model holds: every version of every thing as the interface shows it, who belongs where, who watches what."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

View = dict[str, Any]

NOW = "now"
"""Stands for the instant of the change at hand: only the service knows it, so it is asked once and filled in."""


class Refused(Exception):
    """What was asked must be refused, for one of the reasons that apply."""

    def __init__(self, statuses: frozenset[int]) -> None:
        super().__init__(f"refused with one of {sorted(statuses)}")
        self.statuses = statuses


def refuse(*reasons: tuple[object, int]) -> None:
    """Raises Refused where one of the reasons (whether it applies, its status) does. Which of several comes first is
    not promised.
    """
    statuses = frozenset(status for applies, status in reasons if applies)
    if statuses:
        raise Refused(statuses)


def is_stale(thing: View, expected: int | None) -> bool:
    """Whether somebody insists on another version than the present one."""
    return expected not in (None, thing["version"])


class Shelf:
    """All things of one kind, those in the trash included, by id."""

    def __init__(self) -> None:
        self.versions: dict[str, list[View]] = {}
        self.undated: set[str] = set()

    def __getitem__(self, id: str) -> View:
        return self.versions[id][-1]

    def __iter__(self) -> Iterator[View]:
        return (versions[-1] for versions in self.versions.values())

    def __len__(self) -> int:
        return len(self.versions)

    @property
    def ids(self) -> list[str]:
        return list(self.versions)

    def live(self) -> Iterator[View]:
        return (thing for thing in self if not thing["isDeleted"])

    def add(self, id: str, by: str, **fields: Any) -> None:
        stamps = {"createdAt": NOW, "createdBy": by, "updatedAt": NOW, "updatedBy": by}
        trash = {"isDeleted": False, "deletedAt": None, "deletedBy": None}
        self.versions[id] = [{"id": id, "version": 1, **stamps, **trash, **fields}]
        self.undated.add(id)

    def change(self, id: str, by: str, **fields: Any) -> None:
        """One more version; none where nothing differs."""
        present = self[id]
        if any(present[name] != value for name, value in fields.items()):
            self.raise_version(id, by, **fields)

    def raise_version(self, id: str, by: str, **fields: Any) -> None:
        """One more version, whether it shows anything new or not."""
        present = self[id]
        stamps = {"version": present["version"] + 1, "updatedAt": NOW, "updatedBy": by}
        self.versions[id].append({**present, **stamps, **fields})
        self.undated.add(id)

    def delete(self, id: str, by: str) -> None:
        self.change(id, by, isDeleted=True, deletedAt=NOW, deletedBy=by)

    def restore(self, id: str, by: str) -> None:
        self.change(id, by, isDeleted=False, deletedAt=None, deletedBy=None)

    def date_changes(self, at: str) -> None:
        """Everything changed since the last time was changed at this instant."""
        for id_ in self.undated:
            thing = self[id_]
            thing.update({name: at for name, value in thing.items() if value == NOW})
        self.undated.clear()


@dataclass
class Invitation:
    """What a code opens, as long as it was not revoked."""

    team_id: str
    is_revoked: bool = False


class Model:
    """People, and all that they have.

    `members`: team → user → whether they are an admin; of a team in the trash, the members that a restore brings back.
    `codes`: every code ever made. `removed`: (team, user) of members removed by others. `watches`: (user, task)
    in the order in which they were added. `assignment_id`: the id of the assignment of a task at a version.
    """

    def __init__(self, people: Sequence[str], assignment_id: Callable[[str, int], str]) -> None:
        self.people = tuple(people)
        self.assignment_id = assignment_id
        self.shelves = {kind: Shelf() for kind in ("tasks", "assignments", "projects", "teams")}
        self.tasks = self.shelves["tasks"]
        self.assignments = self.shelves["assignments"]
        self.projects = self.shelves["projects"]
        self.teams = self.shelves["teams"]
        self.members: dict[str, dict[str, bool]] = {}
        self.codes: dict[str, Invitation] = {}
        self.removed: set[tuple[str, str]] = set()
        self.watches: dict[tuple[str, str], None] = {}

    def undated(self) -> list[tuple[str, str]]:
        """What changed since the last time: kind and id of each."""
        return [(kind, id_) for kind, shelf in self.shelves.items() for id_ in sorted(shelf.undated)]

    def date_changes(self, at: str) -> None:
        for shelf in self.shelves.values():
            shelf.date_changes(at)

    def assignment_of(self, task_id: str) -> View | None:
        """The live assignment of a task."""
        found = [one for one in self.assignments.live() if one["taskId"] == task_id]
        assert len(found) <= 1
        return found[0] if found else None
