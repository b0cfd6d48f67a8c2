"""Distinguishes a late replay from a difference: both find a higher version in the target than the one they bring."""

from adapters.dual_write.grouping import RecordKey
from adapters.records.change_set import ApplyOutcome, Blocked, Rejection, Superseded
from adapters.records.record import VERSION
from adapters.records.record_store import RecordStore
from adapters.records.specs import SPECS

DeliveryOutcome = Rejection | Blocked | None
"""What became of a change set, in view of the source: None once the target holds it, or a later state from the source.
"""


async def judged(source: RecordStore, outcome: ApplyOutcome) -> DeliveryOutcome:
    """The outcome in view of the source: a version ahead of the source's own is a difference.

    Raises StoreUnavailable.
    """
    if not isinstance(outcome, Superseded):
        return outcome
    for key, held in outcome.versions:
        own = await _version_in(source, key)
        if held > own:
            return ahead(key[0], held=held, own=own)
    return None


def ahead(collection: str, *, held: int, own: int) -> Rejection:
    """The rejection of a record whose version in the target is above the source's."""
    return Rejection(
        f"The target holds version {held}, the source version {own}.", table=SPECS[collection].table
    )


async def _version_in(source: RecordStore, key: RecordKey) -> int:
    collection, record_id = key
    record = (await source.fetch(collection, (record_id,))).get(record_id)
    return 0 if record is None else int(record[VERSION])
