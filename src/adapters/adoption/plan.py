"""Everything that an adoption stores: a plan, which follows from the originals alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from adapters.adoption.document_fields import number_in
from adapters.adoption.drafts import Draft, Reading
from adapters.adoption.findings import LEFT_BEHIND, Findings
from adapters.adoption.history import Event, history_in
from adapters.adoption.numbering import is_display_number, number_tasks
from adapters.adoption.people import people_in
from adapters.adoption.roles import Roles
from adapters.adoption.tasks import assignments_in, labels_in, tasks_in, watches_in
from adapters.adoption.teams import Teams
from adapters.records.originals import Original
from adapters.records.record import Record
from adapters.records.specs import SPECS
from application.ports.adoption import CollectionCount, SetAside
from application.ports.migration import Finding
from domain.permissions import Grant

COLLECTIONS: Final = (
    "users",
    "roles",
    "user_roles",
    "teams",
    "user_team_details",
    "labels",
    "tasks",
    "task_details",
    "watchlist",
    "audit_logs",
    "counters",
)
"""The collections of the public shape."""
DOCUMENTS_MAX: Final = 1_000_000
"""How many documents can be adopted; a plan holds all of them in memory, about four kilobytes each."""
_COUNTERS: Final = ("seq", "value", "sequence", "count")
_COUNTER_OF_TASKS: Final = frozenset({"taskdisplayid", "tasks", "task", "displayid"})

Originals = Mapping[str, Sequence[Original]]


@dataclass(frozen=True, slots=True)
class Planned:
    """One record with what happened to it before. `version` is the one that its document had."""

    collection: str
    record: Record
    version: int
    events: Sequence[Event] = ()
    sources: Sequence[str] = ()
    """The ids of the documents that the record was made from."""

    @property
    def id(self) -> str:
        """The id of the record."""
        return str(self.record["id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The records in the order in which they are stored, and the events of records that do not exist.

    `highest_number` is the highest display number that was ever given.
    """

    records: Sequence[Planned]
    loose: Mapping[tuple[str, str], Sequence[Event]]
    highest_number: int
    findings: tuple[Finding, ...]
    set_aside: Sequence[SetAside]
    documents: Mapping[str, CollectionCount]
    emails: Mapping[str, str] = field(default_factory=dict)
    """The live account of each e-mail address."""
    has_administrator: bool = False
    present: frozenset[str] = frozenset()
    """The ids of all documents."""


def plan_of(originals: Originals, *, at: datetime, others: Iterable[str] = ()) -> Plan:
    """The plan for these documents, adopted at this time. `others` are collections of no known shape."""
    reading = Reading(at, Findings())
    drafts, highest = _drafts(originals, reading)
    history = dict(history_in(originals.get("audit_logs", ()), reading, known=drafts))
    records = [
        Planned(
            name,
            draft.record(SPECS[name]),
            draft.version,
            history.pop((name, draft.entity.id), ()),
            draft.sources,
        )
        for name, found in drafts.items()
        for draft in found.values()
    ]
    for name in others:
        reading.findings.add(LEFT_BEHIND, name, "")
    live = [draft.entity for draft in drafts["users"].values() if not draft.entity.is_deleted]
    return Plan(
        records=records,
        loose=history,
        highest_number=highest,
        findings=reading.findings.all(),
        set_aside=reading.findings.set_aside,
        documents=_counts(originals, reading.findings.set_aside),
        emails={user.email: user.id for user in live},
        has_administrator=any(Grant.ADMIN in user.grants for user in live),
        present=frozenset(one.id for found in originals.values() for one in found),
    )


def _drafts(originals: Originals, reading: Reading) -> tuple[dict[str, Mapping[str, Draft[Any]]], int]:
    """The drafts by collection, in the order in which references point backwards, and the highest number of a task."""
    people = people_in(originals.get("users", ()), reading)
    roles = Roles(originals.get("roles", ()), reading)
    teams = Teams(people, roles, reading)
    teams.read(
        originals.get("teams", ()), originals.get("user_team_details", ()), originals.get("user_roles", ())
    )
    labels = labels_in(originals.get("labels", ()), reading)
    tasks = tasks_in(originals.get("tasks", ()), people, reading, labels=labels)
    counted = _last_number(originals.get("counters", ()), reading)
    highest = number_tasks(tasks, reading.findings, highest=max(counted, _highest_in(originals)))
    drafts: dict[str, Mapping[str, Draft[Any]]] = {
        "users": people.users,
        "roles": roles.roles,
        "teams": teams.teams,
        "team_members": teams.memberships,
        "labels": labels,
        "tasks": tasks,
        "task_assignments": assignments_in(originals.get("task_details", ()), people, reading, tasks=tasks),
        "watchlists": watches_in(originals.get("watchlist", ()), people, reading, tasks=tasks),
    }
    return drafts, highest


def _last_number(counters: Iterable[Original], reading: Reading) -> int:
    """The last number that the other service gave to a task."""
    found = [0]
    for counter in counters:
        if counter.damage is not None:
            reading.findings.quarantine(counter, f"The document is damaged: {counter.damage}.")
        elif any(_names_tasks(counter.fields.get(name)) for name in ("_id", "name", "collection")):
            numbers = (number_in(counter.fields.get(name)) for name in _COUNTERS)
            found += [number for number in numbers if number is not None and is_display_number(number)]
        else:
            reading.findings.add(LEFT_BEHIND, "counters", counter.id)
    return max(found)


def _names_tasks(value: object) -> bool:
    return isinstance(value, str) and value.lower().replace("_", "") in _COUNTER_OF_TASKS


def _highest_in(originals: Originals) -> int:
    """The highest number of any task, also of one that is set aside and may be adopted later."""
    values = (one.fields.get("displayId", one.fields.get("display_id")) for one in originals.get("tasks", ()))
    numbers = (number_in(value) for value in values)
    return max((one for one in numbers if one is not None and is_display_number(one)), default=0)


def _counts(originals: Originals, set_aside: Iterable[SetAside]) -> dict[str, CollectionCount]:
    aside = [one.collection for one in set_aside]
    return {
        name: CollectionCount(
            documents=len(found), adopted=len(found) - aside.count(name), quarantined=aside.count(name)
        )
        for name, found in originals.items()
    }
