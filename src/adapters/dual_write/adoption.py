"""Queues entries that were written before there was a mirror."""

from datetime import UTC, datetime

from adapters.dual_write.outbox import requeued
from adapters.records.criteria import AllOf, IsNull, Question, Range
from adapters.records.record import ID
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS

PAGE = 500
_AT = datetime(1970, 1, 1, tzinfo=UTC)
"""A mark requires an instant, which a PENDING one does not store."""


async def adopt_unmirrored(source: RecordStore) -> int:
    """Marks every entry without a sync status as PENDING; returns how many. Repeating is harmless.

    The history of every record is in its entries, so the relay mirrors records from before the mirror like any others.
    Records without entries, which another program wrote, are not found here.
    """
    adopted, last_id = 0, ""
    while True:
        unmarked = AllOf((IsNull("syncStatus"), Range(field=ID, above=last_id)))
        page = await source.find(Question(collection=AUDIT_LOGS.collection, where=unmarked, limit=PAGE))
        if not page:
            return adopted
        last_id = page[-1][ID]
        await source.mark([requeued(entry, _AT) for entry in page])
        adopted += len(page)
