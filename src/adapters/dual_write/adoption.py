"""What was written before there was a mirror joins its queue."""

from datetime import UTC, datetime

from adapters.records.change_set import Settlement
from adapters.records.criteria import AllOf, IsNull, Question, Range
from adapters.records.record import ID
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus

PAGE = 500
_AT = datetime(1970, 1, 1, tzinfo=UTC)
"""Settlements carry an instant that PENDING ones do not keep."""


async def adopt_unmirrored(source: RecordStore) -> int:
    """Marks every entry that nobody meant to mirror as PENDING; answers how many. Repeating is harmless.

    The history of every record is in its entries, so the relay brings over records from before the mirror like any
    others. Records that have no entries, because something else wrote them, are not found here.
    """
    adopted, last_id = 0, ""
    while True:
        unmeant = AllOf((IsNull("syncStatus"), Range(field=ID, above=last_id)))
        page = await source.find(Question(collection=AUDIT_LOGS.collection, where=unmeant, limit=PAGE))
        if not page:
            return adopted
        last_id = page[-1][ID]
        await source.settle(
            [Settlement(entry_id=entry[ID], status=SyncStatus.PENDING, at=_AT) for entry in page]
        )
        adopted += len(page)
