"""Gives up a version that the target rejects: the source takes back what the target holds, if anything."""

from collections.abc import Collection, Mapping
from datetime import datetime

from adapters.dual_write.grouping import RecordKey
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record, is_tombstone, json_value
from adapters.records.specs import AUDIT_LOGS
from application.ports.synchronisation import Discard
from domain.audit import ABANDONED, ABSENT, Action, AuditEntry, changes_between
from domain.errors import Conflict


def abandonment(
    collection: str, *, current: Record, held: Record | None, discard: Discard, at: datetime
) -> ChangeSet:
    """The change set that commits what the target holds as a new version above both.

    Its entry names the version that is given up, and the reason. Once the target holds it, the rejected entries arrive
    without their state, because a delivery carries the current one. Where the target holds nothing, the record keeps
    its content in the source, and the entry says that it is absent in the target. Raises Conflict for a record that was
    permanently removed in one of the stores.
    """
    if is_tombstone(current) or (held is not None and is_tombstone(held)):
        raise Conflict("It was permanently removed in one of the stores, so no content can be taken back.")
    content = current if held is None else held
    version = max(current[VERSION], content[VERSION]) + 1
    record: Record = {**content, VERSION: version, "updatedAt": at, "updatedBy": discard.actor_id}
    entry = AuditEntry(
        id=discard.entry_id,
        collection=collection,
        entity_id=record[ID],
        version=version,
        action=Action.ABANDONED,
        actor_id=discard.actor_id,
        at=at,
        request_id=discard.request_id,
        change_set_id=discard.entry_id,
        changes={
            **_json_changes(current, record),
            (ABSENT if held is None else ABANDONED): {"before": current[VERSION], "after": discard.reason},
        },
    )
    return ChangeSet((Put(collection, record, current[VERSION]),), (AUDIT_LOGS.mapping.to_record(entry),))


def absence_of(entry: Record) -> str | None:
    """Why an operator let the record of this entry be absent in the target; None for every other entry."""
    note = entry["changes"].get(ABSENT) if entry["action"] == Action.ABANDONED else None
    return None if note is None else str(note["after"])


def without_absent(change_set: ChangeSet, absent: Collection[RecordKey]) -> ChangeSet:
    """The change set without the states of these records; all its entries stay."""
    puts = tuple(put for put in change_set.puts if (put.collection, put.record_id) not in absent)
    return ChangeSet(puts, change_set.entries)


def _json_changes(before: Mapping[str, object], after: Record) -> dict[str, dict[str, object]]:
    return {
        name: {side: json_value(value) for side, value in sides.items()}
        for name, sides in changes_between(before, after).items()
    }
