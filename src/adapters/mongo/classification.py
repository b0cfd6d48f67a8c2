"""Outage, blocked collection or rejection: what an error means for a change set that this store was to mirror."""

from adapters.mongo.errors import UNAUTHORIZED, WRITE_CONFLICT, Refused
from adapters.records.change_set import Blocked, ChangeSet, Rejection
from adapters.records.specs import AUDIT_LOGS

LOCK_CODES = frozenset({24, 46, 50, WRITE_CONFLICT, 251, 262})
"""Codes for documents that another transaction holds."""
COLLECTION_CODES = frozenset({UNAUTHORIZED, 26, 14_031})
"""Codes for a collection that this user may not write to, that is missing, or whose disk is full."""


class PartRejected(Exception):
    """One of several change sets cannot be stored. Applied alone, each has its own outcome."""


def outcome_of(error: Refused, change_set: ChangeSet) -> Blocked | Rejection:
    """The outcome of a change set that is alone, while the server answers a ping."""
    named = error.error_name or "no name"
    code = f"code {error.error_code}, {named}"
    put = change_set.puts[0] if change_set.puts else None
    collection = AUDIT_LOGS.collection if put is None else put.collection
    if error.error_code in LOCK_CODES:
        cause = f"Another transaction holds the document ({code})."
        return Blocked(collection, collection, cause, record_id=None if put is None else put.record_id)
    if error.error_code in COLLECTION_CODES:
        return Blocked(collection, collection, f"MongoDB does not accept writes to it ({code}).")
    return Rejection(f"MongoDB rejected it ({code}).", table=collection)
