"""The change sets of an adoption: records, and the entries that tell where they come from."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapters.adoption.history import Event
from adapters.adoption.plan import Planned
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import VERSION, Record, json_value
from adapters.records.specs import AUDIT_LOGS
from application.actor import SYSTEM_ID
from domain.audit import ADOPTED, Action, AuditEntry, Changes, changes_between
from domain.entity import derived_id

ADOPTED_FROM: Final = f"{ADOPTED}from"
"""The note, among the changes of an entry, of the database that a record was adopted from."""


@dataclass(frozen=True, slots=True)
class Next:
    """What is stored of one record: `record` (None for history without a record) over `replaces`, and the events before
    it, of which the first makes the version after `start`.
    """

    collection: str
    record_id: str
    record: Record | None
    replaces: int
    events: Sequence[Event]
    start: int
    before: Record | None = None


def first_version(planned: Planned) -> Next:
    """The record of a document that was not stored yet. Its version is at least the one that the document had."""
    version = max(planned.version, len(planned.events) + 1)
    return Next(
        planned.collection,
        planned.id,
        {**planned.record, VERSION: version},
        0,
        planned.events,
        version - 1 - len(planned.events),
    )


def next_version(planned: Planned, stored: Record, known: Collection[str]) -> Next | None:
    """The record of a document that has changed since an adoption that was interrupted stored it; None if it has not.

    `known` are the ids of the stored entries.
    """
    held = int(stored[VERSION])
    events = [event for event in planned.events if event.id not in known]
    if not events and {**planned.record, VERSION: held} == stored:
        return None
    record = {**planned.record, VERSION: held + len(events) + 1}
    return Next(planned.collection, planned.id, record, held, events, held, before=stored)


def change_set_of(changes: Iterable[Next], *, at: datetime, origin: str) -> ChangeSet:
    """One change set with all of them; entries of the adoption itself have this time."""
    found = list(changes)
    puts = tuple(Put(one.collection, one.record, one.replaces) for one in found if one.record is not None)
    entries = tuple(entry for one in found for entry in _entries(one, at=at, origin=origin))
    return ChangeSet(puts, entries)


def _entries(change: Next, *, at: datetime, origin: str) -> Iterator[Record]:
    change_set_id = derived_id("adoption", change.collection, change.record_id, str(change.start))
    events = list(change.events)
    if change.record is not None:
        action = Action.IMPORTED if change.before is None else Action.UPDATED
        events.append(Event(change_set_id, at, SYSTEM_ID, action, _changes(change, origin)))
    for version, event in enumerate(events, change.start + 1):
        entry = AuditEntry(
            id=event.id,
            collection=change.collection,
            entity_id=change.record_id,
            version=version,
            action=event.action,
            actor_id=event.actor_id,
            at=event.at,
            request_id=f"adopt-{change_set_id}",
            change_set_id=change_set_id,
            changes=event.changes,
        )
        yield AUDIT_LOGS.mapping.to_record(entry)


def _changes(change: Next, origin: str) -> Changes:
    """Where the record comes from; without earlier events also its content, as for a record that is created."""
    changes: Changes = {ADOPTED_FROM: {"before": None, "after": origin}}
    if change.record is None or (change.events and change.before is None):
        return changes
    found = changes_between(change.before, change.record)
    values = {
        name: {side: json_value(value) for side, value in sides.items()} for name, sides in found.items()
    }
    return {**values, **changes}
