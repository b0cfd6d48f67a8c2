"""The change sets of an adoption: records, and the entries that say where they come from."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapters.adoption.history import Event, Subject
from adapters.adoption.plan import Planned
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record, is_tombstone, json_value, tombstone
from adapters.records.specs import AUDIT_LOGS
from application.actor import SYSTEM_ID
from domain.audit import ADOPTED, Action, AuditEntry, Changes, changes_between
from domain.entity import derived_id

ADOPTED_FROM: Final = f"{ADOPTED}from"
"""The note, among the changes of an entry, of the database that a record was adopted from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What is stored of one record: `record` (None for history without a record) over `replaces`, and the events before
    it, of which the first makes the version after `start`.

    `has_history`: the record had entries before, or has events. `beside` is stored with it.
    """

    collection: str
    record_id: str
    record: Record | None
    replaces: int
    events: Sequence[Event]
    start: int
    before: Record | None = None
    has_history: bool = False
    beside: tuple[Put, ...] = ()


def has_changed(planned: Planned, stored: Record | None, known: Collection[str]) -> bool:
    """Whether a document says more than what is stored of it. `known` are the ids of the stored entries."""
    if stored is None or any(event.id not in known for event in planned.events):
        return True
    return {**planned.record, VERSION: stored[VERSION]} != stored


def next_version(planned: Planned, stored: Record | None, known: Collection[str], *, last: int) -> Next:
    """The record of a document: its first version, which is at least the one that the document had, or the one after
    what an adoption that was interrupted stored.

    `known` are the ids of the stored entries, and `last` is the highest version of an entry about the record: history
    may have been stored before the record.
    """
    events = [event for event in planned.events if event.id not in known]
    replaces = 0 if stored is None else int(stored[VERSION])
    version = max(replaces, last) + len(events) + 1
    if stored is None:
        version = max(planned.version, version)
    return Next(
        collection=planned.collection,
        record_id=planned.id,
        record={**planned.record, VERSION: version},
        replaces=replaces,
        events=events,
        start=version - 1 - len(events),
        before=None if stored is None or is_tombstone(stored) else stored,
        has_history=last > 0 or bool(events),
    )


def later_history(subject: Subject, events: Sequence[Event], *, last: int) -> Next:
    """History without a record, after the entry with the version `last`."""
    collection, record_id = subject
    return Next(
        collection=collection, record_id=record_id, record=None, replaces=0, events=events, start=last
    )


def removal(collection: str, stored: Record, *, last: int) -> Next:
    """The permanent removal of a record whose document is gone."""
    replaces, record_id = int(stored[VERSION]), str(stored[ID])
    start = max(replaces, last)
    left = tombstone(record_id, start + 1)
    return Next(
        collection=collection,
        record_id=record_id,
        record=left,
        replaces=replaces,
        events=(),
        start=start,
        before=stored,
    )


def change_set_of(changes: Iterable[Next], *, at: datetime, origin: str) -> ChangeSet:
    """One change set with all of them; entries of the adoption itself have this time."""
    found = list(changes)
    puts = tuple(Put(one.collection, one.record, one.replaces) for one in found if one.record is not None)
    puts += tuple(put for one in found for put in one.beside)
    entries = tuple(entry for one in found for entry in _entries(one, at=at, origin=origin))
    return ChangeSet(puts, entries)


def _entries(change: Next, *, at: datetime, origin: str) -> Iterator[Record]:
    change_set_id = derived_id("adoption", change.collection, change.record_id, str(change.start))
    events = list(change.events)
    if change.record is not None:
        events.append(Event(change_set_id, at, SYSTEM_ID, _action(change), _changes(change, origin)))
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


def _action(change: Next) -> Action:
    if change.record is not None and is_tombstone(change.record):
        return Action.PURGED
    return Action.IMPORTED if change.before is None else Action.UPDATED


def _changes(change: Next, origin: str) -> Changes:
    """Where the record comes from; without earlier entries also its content, as for a record that is created."""
    changes: Changes = {ADOPTED_FROM: {"before": None, "after": origin}}
    if change.record is None or is_tombstone(change.record) or (change.has_history and change.before is None):
        return changes
    found = changes_between(change.before, change.record)
    values = {
        name: {side: json_value(value) for side, value in sides.items()} for name, sides in found.items()
    }
    return {**values, **changes}
