"""What people do alike with everything that has versions and a trash."""

from hypothesis import strategies as st

from tests.integration.journeys.machine.acts import act
from tests.integration.journeys.machine.steps import (
    ANY_FROM,
    MANNER,
    NTH,
    PATHS,
    PERSON,
    Journey,
    Manner,
    Thing,
)
from tests.integration.journeys.machine.world import Request
from tests.integration.journeys.model import projects, tasks, teams

KIND = st.sampled_from(("tasks", "tasks", "projects", "teams"))
MODELS = {"teams": teams, "projects": projects, "tasks": tasks}


class TrashActs(Journey):
    """Into the trash, out of it, and back in time."""

    @act(weight=2, by=PERSON, kind=KIND, number=NTH, how=MANNER)
    def delete(self, by: str, kind: str, number: int, how: Manner) -> None:
        id_ = self.pick(by, kind, number)
        expected = self.expected((kind, id_), how)
        self.attempt(
            by,
            Request("DELETE", f"{PATHS[kind]}/{id_}", expected=expected),
            lambda _: MODELS[kind].delete(self.model, self.id_of(by), id_, expected=expected),
            about=(kind, id_),
        )

    @act(weight=3, where=lambda self: self.deleted(), by=PERSON, number=NTH, how=MANNER)
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

    @act(weight=3, by=PERSON, kind=KIND, number=NTH, back=st.integers(min_value=-1, max_value=4), how=MANNER)
    def roll_back(self, by: str, kind: str, number: int, back: int, how: Manner) -> None:
        """So many versions back; one that is yet to come is refused."""
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
