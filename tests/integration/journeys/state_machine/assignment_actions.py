"""Actions that assign tasks and end assignments."""

from hypothesis import strategies as st

from tests.integration.journeys.model import assignments
from tests.integration.journeys.state_machine.actions import action
from tests.integration.journeys.state_machine.driver import Request
from tests.integration.journeys.state_machine.journey import (
    ANY_FROM,
    MANNER,
    NOBODY,
    NTH,
    PATHS,
    PERSON,
    Journey,
    Manner,
)

ASSIGNEE = st.sampled_from(("self", "ben", "carl", "dora", "emil", "nobody")) | NTH
"""Somebody, or the team of this number."""
EXECUTOR = st.sampled_from(("self", "self", "self", None, "ben", "carl", "emil"))


class AssignmentActions(Journey):
    """Assigning, choosing the executor, and ending assignments."""

    @action(weight=2, by=PERSON, number=NTH, to=ASSIGNEE, how=MANNER)
    def give_task(self, by: str, number: int, to: str | int, how: Manner) -> None:
        id_ = self.pick(by, "tasks", number)
        assignee_id, kind = self._assignee(by, to)
        expected = self.expected(("tasks", id_), how)
        body = {"assigneeId": assignee_id, "assigneeType": kind}
        self.attempt(
            by,
            Request("POST", f"/v1/tasks/{id_}/assign", body, expected),
            lambda _: assignments.give(
                self.model, self.id_of(by), id_, to=assignee_id, kind=kind, expected=expected
            ),
            about=("tasks", id_),
            shows="tasks",
            how=how,
        )

    @action(by=PERSON, number=NTH, to=ASSIGNEE)
    def assign(self, by: str, number: int, to: str | int) -> None:
        """The other operation for the same; a task that the person must not know of is a violation in the body here."""
        id_ = self.pick(by, "tasks", number)
        assignee_id, kind = self._assignee(by, to)
        body = {"taskId": id_, "assigneeId": assignee_id, "assigneeType": kind}
        self.attempt(
            by,
            Request("POST", PATHS["assignments"], body),
            lambda _: assignments.assign(self.model, self.id_of(by), id_, to=assignee_id, kind=kind),
            about=("tasks", id_),
            shows="assignments",
        )

    @action(where=lambda self: len(self.model.assignments), by=PERSON, number=NTH, how=MANNER)
    def free_task(self, by: str, number: int, how: Manner) -> None:
        id_ = self.model.assignments[self._some_assignment(by, number)]["taskId"]
        expected = self.expected(("tasks", id_), how)
        self.attempt(
            by,
            Request("DELETE", f"/v1/tasks/{id_}/assignment", expected=expected),
            lambda _: assignments.free(self.model, self.id_of(by), id_, expected=expected),
            about=("tasks", id_),
        )

    @action(where=lambda self: len(self.model.assignments), by=PERSON, number=NTH, how=MANNER)
    def end_assignment(self, by: str, number: int, how: Manner) -> None:
        id_ = self._some_assignment(by, number)
        expected = self.expected(("assignments", id_), how)
        self.attempt(
            by,
            Request("DELETE", f"/v1/task-assignments/{id_}", expected=expected),
            lambda _: assignments.end(self.model, self.id_of(by), id_, expected=expected),
            about=("assignments", id_),
        )

    @action(
        weight=3,
        where=lambda self: len(self.model.assignments),
        by=PERSON,
        number=NTH,
        executor=EXECUTOR,
        how=MANNER,
    )
    def choose_executor(self, by: str, number: int, executor: str | None, how: Manner) -> None:
        id_ = self._some_assignment(by, number)
        expected = self.expected(("assignments", id_), how)
        executor_id = None if executor is None else self.id_of(by if executor == "self" else executor)
        self.attempt(
            by,
            Request("PATCH", f"/v1/task-assignments/{id_}", {"executorId": executor_id}, expected),
            lambda _: assignments.choose_executor(
                self.model, self.id_of(by), id_, executor_id, expected=expected
            ),
            about=("assignments", id_),
            shows="assignments",
            how=how,
        )

    def _assignee(self, by: str, to: str | int) -> tuple[str, str]:
        if isinstance(to, int):
            return self.pick(by, "teams", to), "TEAM"
        return (NOBODY if to == "nobody" else self.id_of(by if to == "self" else to)), "USER"

    def _some_assignment(self, by: str, number: int) -> str:
        """Mostly one that is not over, a team's before others."""
        live = sorted(self.model.assignments.live(), key=lambda one: str(one["assigneeType"]))
        if not live or number >= ANY_FROM:
            return self.pick(by, "assignments", number)
        return str(live[number % len(live)]["id"])
