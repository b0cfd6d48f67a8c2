"""Gives up a version that the target rejects: the source takes back the content that the target holds."""

from collections.abc import Mapping
from datetime import datetime

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record, is_tombstone, json_value
from adapters.records.specs import AUDIT_LOGS
from application.ports.synchronisation import Discard
from domain.audit import ABANDONED, Action, AuditEntry, changes_between
from domain.errors import Conflict


def abandonment(
    collection: str, *, current: Record, held: Record | None, discard: Discard, at: datetime
) -> ChangeSet:
    """The change set that commits what the target holds as a new version above both.

    Its entry names the version that is given up, and the reason. Once the target holds it, the rejected entries arrive
    without their state, because a delivery carries the current one. Raises Conflict where the target holds nothing that
    the source could take back.
    """
    if is_tombstone(current) or (held is not None and is_tombstone(held)):
        raise Conflict("It was permanently removed in one of the stores, so no content can be taken back.")
    if held is None:
        raise Conflict(
            "The target has never held this record, so there is nothing to take back. Change the record so that the "
            "target accepts it, or remove it permanently; then its rejected versions arrive without their state."
        )
    version = max(current[VERSION], held[VERSION]) + 1
    record: Record = {**held, VERSION: version, "updatedAt": at, "updatedBy": discard.actor_id}
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
            ABANDONED: {"before": current[VERSION], "after": discard.reason},
        },
    )
    return ChangeSet((Put(collection, record, current[VERSION]),), (AUDIT_LOGS.mapping.to_record(entry),))


def _json_changes(before: Mapping[str, object], after: Record) -> dict[str, dict[str, object]]:
    return {
        name: {side: json_value(value) for side, value in sides.items()}
        for name, sides in changes_between(before, after).items()
    }
