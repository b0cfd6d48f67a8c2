"""The audit log of the other service as entries: what happened to a task or a team before the adoption."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from adapters.adoption.document_fields import DocumentFields, born_at, reference_in, shown
from adapters.adoption.drafts import Reading
from adapters.adoption.findings import ORPHAN
from adapters.adoption.tasks import STATUSES
from adapters.records.originals import Original
from adapters.records.record import camel
from application.actor import SYSTEM_ID
from domain.audit import ADOPTED, Action, Changes

EVENT: Final = f"{ADOPTED}event"
"""The name, among the changes of an entry, of what the other service called the event."""
NO_SUBJECT: Final = "It names no task and no team, so it is nobody's history."
_PAIRS: Final = (
    ("status", "status_from", "status_to"),
    ("executorId", "previous_executor_id", "new_executor_id"),
    ("assigneeId", "assignee_from", "assignee_to"),
)
"""A field of Tandem's task, and the two fields of the document with its value before and after."""
_SUBJECTS: Final = (("tasks", ("task_id", "taskId")), ("teams", ("team_id", "teamId")))

Subject = tuple[str, str]
"""A collection and the id of a record in it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `id` is that of its document."""

    id: str
    at: datetime
    actor_id: str
    action: Action
    changes: Changes


History = Mapping[Subject, list[Event]]


def history_in(
    originals: Iterable[Original], reading: Reading, *, known: Mapping[str, Iterable[str]]
) -> History:
    """The events of each subject, oldest first. `known` has the ids of the records by collection."""
    ids = {collection: frozenset(found) for collection, found in known.items()}
    events: dict[Subject, list[Event]] = defaultdict(list)
    for fields in reading.usable(originals):
        subject = _subject(fields, ids)
        if subject is None:
            reading.findings.quarantine(fields.original, NO_SUBJECT)
            continue
        if subject[1] not in ids[subject[0]]:
            reading.findings.add(ORPHAN, "audit_logs", fields.id, detail=f"in {subject[0]}")
        events[subject].append(_event(fields))
    for found in events.values():
        found.sort(key=lambda event: (event.at, event.id))
    return events


def _subject(fields: DocumentFields, known: Mapping[str, frozenset[str]]) -> Subject | None:
    """The task that an event is about, otherwise the team; one that exists comes first. The other one is kept."""
    found = {
        collection: id for collection, names in _SUBJECTS if (id := fields.reference(*names)) is not None
    }
    chosen = next((one for one, id in found.items() if id in known[one]), next(iter(found), None))
    for collection, names in _SUBJECTS:
        if collection != chosen:
            fields.keep(*names)
    return None if chosen is None else (chosen, found[chosen])


def _event(fields: DocumentFields) -> Event:
    name = fields.text("action") or "changed"
    at = fields.instant("timestamp", "createdAt", "created_at") or born_at(fields.id)
    actor_id = fields.reference("performed_by", "performedBy") or SYSTEM_ID
    return Event(
        id=fields.id,
        at=at,
        actor_id=actor_id,
        action=Action.CREATED if name.endswith("_created") else Action.UPDATED,
        changes=_changes(fields, name),
    )


def _changes(fields: DocumentFields, event: str) -> Changes:
    """What changed under the names of a task's fields, where earlier versions can follow from it, and every other value
    as a note.
    """
    changes: Changes = {EVENT: {"before": None, "after": event}}
    left = fields.left()
    for field, before, after in _PAIRS:
        sides = {"before": left.get(before), "after": left.get(after)}
        read = _status if field == "status" else reference_in
        is_possible = field != "status" or None not in sides.values()
        found: dict[str, object] = {
            side: None if value is None else read(value) for side, value in sides.items()
        }
        is_read = all((value is None) is (found[side] is None) for side, value in sides.items())
        if any(sides.values()) and is_read and is_possible:
            changes[field] = found
            said = {before: found["before"], after: found["after"]}
            left = {
                name: value for name, value in left.items() if name not in said or _is_lost(value, said[name])
            }
    for name, value in left.items():
        changes[f"{ADOPTED}{camel(name)}"] = {"before": None, "after": shown(value)}
    return changes


def _is_lost(value: Any, read: object) -> bool:
    """Whether a text says more than what was read of it."""
    return isinstance(value, str) and value != read


def _status(value: Any) -> str | None:
    status = STATUSES.get(str(value))
    return None if status is None else status.value
