"""Deleting, restoring and rolling back: the same for every kind that has versions and a trash."""

from hypothesis import strategies as st

from tests.integration.journeys.model import projects, tasks, teams
from tests.integration.journeys.state_machine.actions import action
from tests.integration.journeys.state_machine.driver import Request
from tests.integration.journeys.state_machine.journey import (
    ANY_FROM,
    MANNER,
    NTH,
    PATHS,
    PERSON,
    Journey,
    Manner,
    Thing,
)

KIND = st.sampled_from(("tasks", "tasks", "projects", "teams"))
MODELS = {"teams": teams, "projects": projects, "tasks": tasks}


class TrashActions(Journey):
    """Into the trash, out of it, and back in time."""

    @action(weight=2, by=PERSON, kind=KIND, number=NTH, how=MANNER)
    def delete(self, by: str, kind: str, number: int, how: Manner) -> None:
        id_ = self.pick(by, kind, number)
        expected = self.expected((kind, id_), how)
        self.attempt(
            by,
            Request("DELETE", f"{PATHS[kind]}/{id_}", expected=expected),
            lambda _: MODELS[kind].delete(self.model, self.id_of(by), id_, expected=expected),
            about=(kind, id_),
        )

    @action(weight=3, where=lambda self: self.deleted(), by=PERSON, number=NTH, how=MANNER)
    def restore(self, by: str, number: int, how: Manner) -> None:
        deleted = self.deleted()
        is_any = number >= ANY_FROM
        kind, id_ = ("tasks", self.pick(by, "tasks", number)) if is_any else deleted[number % len(deleted)]
        expected = self.expected((kind, id_), how)
        self.attempt(
            by,
            Request("POST", f"{PATHS[kind]}/{id_}/restore", expected=expected),
            lambda _: MODELS[kind].restore(self.model, self.id_of(by), id_, expected=expected),
            about=(kind, id_),
            shows=kind,
            how=how,
        )

    @action(
        weight=3, by=PERSON, kind=KIND, number=NTH, back=st.integers(min_value=-1, max_value=4), how=MANNER
    )
    def roll_back(self, by: str, kind: str, number: int, back: int, how: Manner) -> None:
        """By this many versions; a version in the future is rejected."""
        id_ = self.pick(by, kind, number)
        version = max(1, self.model.shelves[kind][id_]["version"] - back)
        expected = self.expected((kind, id_), how)
        self.attempt(
            by,
            Request("POST", f"{PATHS[kind]}/{id_}/rollback", {"version": version}, expected),
            lambda _: MODELS[kind].roll_back(self.model, self.id_of(by), id_, version, expected=expected),
            about=(kind, id_),
            shows=kind,
            how=how,
        )

    def deleted(self) -> list[Thing]:
        """What is in the trash."""
        shelves = self.model.shelves
        return [(kind, thing["id"]) for kind in MODELS for thing in shelves[kind] if thing["isDeleted"]]
