"""Actions on tasks."""

from typing import Any

from hypothesis import strategies as st

from tests.integration.journeys.model import tasks
from tests.integration.journeys.model.state import View
from tests.integration.journeys.state_machine.actions import action
from tests.integration.journeys.state_machine.driver import Request
from tests.integration.journeys.state_machine.journey import MANNER, NTH, PERSON, Journey, Manner

TASKS_MAX = 8
WORDS = ("dig", "Dig", "weed", "rose", "fence", "water")
TITLE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
PAST = "2020-01-01T00:00:00.000Z"
DUE = (PAST, "2091-01-01T00:00:00.000Z", "2093-01-01T00:00:00.000Z")
UNTIL = st.sampled_from((None, PAST, "2090-01-01T00:00:00.000Z", "2092-01-01T00:00:00.000Z"))
PLACE = st.none() | NTH
"""A project, or a task above; None: none."""
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "description": st.none() | TITLE,
    "status": st.sampled_from(("TODO", "IN_PROGRESS", "BLOCKED", "DONE")),
    "priority": st.sampled_from(("HIGH", "MEDIUM", "LOW")),
    "labelIds": st.lists(st.integers(min_value=0, max_value=1), unique=True),
    "startedAt": st.sampled_from((None, PAST)),
    "dueAt": st.sampled_from((None, *DUE)),
    "isAcknowledged": st.just(True),
}
PLACES = {"projectId": PLACE, "parentId": PLACE}
CONTENT = st.fixed_dictionaries({"title": TITLE}, optional={**FIELDS, **PLACES})
CHANGES = st.one_of(
    st.fixed_dictionaries({}, optional={"title": TITLE, **FIELDS}),
    *(st.fixed_dictionaries({name: values}) for name, values in PLACES.items()),
    *(st.fixed_dictionaries({name: FIELDS[name]}) for name in ("status", "isAcknowledged")),
)


class TaskActions(Journey):
    """Create, change, defer and watch tasks, allowed or not."""

    label_ids: list[str]

    @action(where=lambda self: len(self.model.tasks) < TASKS_MAX, by=PERSON, content=CONTENT, how=MANNER)
    def create_task(self, by: str, content: View, how: Manner) -> None:
        body = self._body(by, content)

        def play(made: View) -> None:
            id_, number = made.get("id", ""), made.get("displayId", "")
            tasks.create(self.model, self.id_of(by), body, id=id_, display_id=number)

        self.attempt(by, Request("POST", "/v1/tasks", body), play, shows="tasks", how=how)

    @action(weight=4, by=PERSON, number=NTH, changes=CHANGES, how=MANNER)
    def change_task(self, by: str, number: int, changes: View, how: Manner) -> None:
        id_ = self.pick(by, "tasks", number)
        body = self._body(by, changes)
        expected = self.expected(("tasks", id_), how)
        self.attempt(
            by,
            Request("PATCH", f"/v1/tasks/{id_}", body, expected),
            lambda _: tasks.change(self.model, self.id_of(by), id_, body, expected=expected),
            about=("tasks", id_),
            shows="tasks",
            how=how,
        )

    @action(by=PERSON, number=NTH, until=UNTIL, how=MANNER)
    def defer_task(self, by: str, number: int, until: str | None, how: Manner) -> None:
        id_ = self.pick(by, "tasks", number)
        expected = self.expected(("tasks", id_), how)
        self.attempt(
            by,
            Request("POST", f"/v1/tasks/{id_}/defer", {"deferredTill": until}, expected),
            lambda _: tasks.defer(
                self.model, self.id_of(by), id_, until, expected=expected, is_past=until == PAST
            ),
            about=("tasks", id_),
            shows="tasks",
            how=how,
        )

    @action(by=PERSON, number=NTH, is_watched=st.booleans())
    def watch_task(self, by: str, number: int, is_watched: bool) -> None:
        id_ = self.pick(by, "tasks", number)
        play = tasks.watch if is_watched else tasks.unwatch
        self.attempt(
            by,
            Request("PUT" if is_watched else "DELETE", f"/v1/watchlist/{id_}"),
            lambda _: play(self.model, self.id_of(by), id_),
            about=("tasks", id_),
        )
        self.require_seen(("tasks", id_))

    def _body(self, by: str, fields: View) -> View:
        """The fields with ids for what they count."""
        body = dict(fields)
        for name, kind in (("projectId", "projects"), ("parentId", "tasks")):
            if fields.get(name) is not None:
                body[name] = self.pick(by, kind, fields[name]) if len(self.model.shelves[kind]) else None
        if "labelIds" in fields:
            body["labelIds"] = [self.label_ids[place] for place in fields["labelIds"]]
        return body
