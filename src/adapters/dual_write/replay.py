"""A change set as it was committed, rebuilt from the current records and the entries since.

The relay delivers current states. If the target rejects one, it replays the change sets one by one: a unique value may
have moved through several records, so the last state can only be stored after the earlier ones.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from adapters.dual_write.grouping import RecordKey, key_of
from adapters.records.change_set import ChangeSet, Put
from adapters.records.criteria import AllOf, Equals, Order, Question, Range
from adapters.records.fields import FieldKind
from adapters.records.record import VERSION, Record, is_tombstone
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, SPECS
from domain.audit import undo

STEPS_MAX = 200
"""The largest number of versions that are undone; for older entries the current state is delivered."""


def put_of(collection: str, record: Record) -> Put:
    """The put that carries a resulting state; apply ignores the expected version."""
    return Put(collection, record, record[VERSION] - 1)


async def as_committed(
    source: RecordStore, entries: Sequence[Record], current: Mapping[RecordKey, Record]
) -> ChangeSet:
    """The change set of these entries (of one change set) with each record as of its entry's version."""
    newest: dict[RecordKey, Record] = {}
    for entry in entries:
        known = newest.get(key_of(entry))
        if known is None or known[VERSION] < entry[VERSION]:
            newest[key_of(entry)] = entry
    puts = [put_of(key[0], await _as_of(source, entry, current[key])) for key, entry in newest.items()]
    return ChangeSet(tuple(puts), tuple(entries))


async def _as_of(source: RecordStore, entry: Record, current: Record) -> Record:
    collection, entity_id = key_of(entry)
    steps = current[VERSION] - entry[VERSION]
    # A permanently removed record must not be reconstructed.
    if not 0 < steps <= STEPS_MAX or is_tombstone(current):
        return current
    where = AllOf(
        (
            Equals("collection", collection),
            Equals("entityId", entity_id),
            Range(field=VERSION, above=entry[VERSION], at_most=current[VERSION]),
        )
    )
    order = Order(VERSION, descending=True)
    question = Question(collection=AUDIT_LOGS.collection, where=where, order=order, limit=STEPS_MAX)
    later = await source.find(question)
    if len(later) != steps:
        return current
    state: dict[str, object] = dict(current)
    for step in later:
        state = undo(state, step["changes"])
    for field in SPECS[collection].fields:
        text = state.get(field.name)
        if field.kind is FieldKind.INSTANT and isinstance(text, str):  # entries hold JSON values
            state[field.name] = datetime.fromisoformat(text)
    stamps = {VERSION: entry[VERSION], "updatedAt": entry["at"], "updatedBy": entry["actorId"]}
    # An early version of a record may lack fields that are required now.
    return SPECS[collection].upgraded({**state, **stamps})
