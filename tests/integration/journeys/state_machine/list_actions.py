"""Lists with filters, and repeated requests."""

from typing import Any

from hypothesis import strategies as st

from tests.integration.journeys.model import lists
from tests.integration.journeys.model.sight import sees
from tests.integration.journeys.model.state import View
from tests.integration.journeys.state_machine.actions import action
from tests.integration.journeys.state_machine.journey import NAME, NTH, Journey
from tests.integration.journeys.state_machine.task_actions import DUE, WORDS

ORDERS = ("createdAt", "updatedAt", "dueAt", "priority", "displayId")
FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "projectId": NTH,
    "teamId": NTH,
    "labelId": st.integers(min_value=0, max_value=1),
    "assigneeId": NAME,
    "createdBy": NAME,
    "status": st.sampled_from(("TODO", "IN_PROGRESS", "BLOCKED", "DONE", "DEFERRED")),
    "priority": st.sampled_from(("HIGH", "MEDIUM", "LOW")),
    "dueBefore": st.sampled_from(DUE),
    "dueAfter": st.sampled_from(DUE),
    "watching": st.just("true"),
    "q": st.lists(st.sampled_from((*WORDS, "wee", "FENCE")), min_size=1, max_size=2).map(" ".join),
}
# One or two at once: more would find nothing.
FILTER = st.lists(st.sampled_from(sorted(FILTERS)), max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FILTERS[name] for name in names})
)
ORDER = st.tuples(st.sampled_from(("", "-")), st.sampled_from(ORDERS)).map("".join)


class ListActions(Journey):
    """Lists and repeated requests; nothing changes here."""

    label_ids: list[str]

    @action(weight=2, by=NAME, filters=FILTER, order=ORDER, limit=st.integers(min_value=1, max_value=5))
    def list_tasks(self, by: str, filters: View, order: str, limit: int) -> None:
        query = {**self._named(by, filters), "sort": order}
        items, total = self.world.listed(self.people[by], "/v1/tasks", limit=limit, **query)
        expected = lists.tasks(self.model, self.id_of(by), query)
        assert items == expected, f"{by} asks for {query}"
        assert total == len(expected)

    @action(where=lambda self: self.repeatable, number=NTH)
    def repeat_request(self, number: int) -> None:
        """A keyed request sent again, however much changed since: it is answered as before and changes nothing."""
        sent = self.repeatable[number % len(self.repeatable)]
        again = self.world.ask(self.people[sent.by], sent.request)
        description = f"{sent.by}: {sent.request} again answered {again.status_code} {again.text}"
        if sees(self.model, self.id_of(sent.by), *sent.about):
            assert again.status_code == sent.answer.status_code, description
            assert lasting(again.json()) == lasting(sent.answer.json()), description
        else:
            assert again.status_code == 404, description
        self.require_seen(sent.about)

    def _named(self, by: str, filters: View) -> View:
        """The filters with ids for what they count."""
        kinds = {"projectId": "projects", "teamId": "teams"}
        named: View = {
            name: self.pick(by, kinds[name], nth) for name, nth in filters.items() if name in kinds
        }
        people: View = {
            name: self.id_of(filters[name]) for name in ("assigneeId", "createdBy") if name in filters
        }
        labels = {"labelId": self.label_ids[filters["labelId"]]} if "labelId" in filters else {}
        return {**filters, **named, **people, **labels}


def lasting(view: View) -> View:
    """Without what belongs to the reader and not to the version."""
    return {name: value for name, value in view.items() if name != "inWatchlist"}
