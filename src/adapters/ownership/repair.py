"""Makes exactly those entries PENDING again that a target lacks which is an older copy of itself."""

from datetime import UTC, datetime

from adapters.ownership.comparison import Numbers, is_lost
from adapters.records.change_set import LANE, LANE_NUMBER, SYNC_LANE, SYNC_NUMBER, DeliveryMark
from adapters.records.criteria import AllOf, Criterion, Equals, Question, Range
from adapters.records.lanes import LanedStore
from adapters.records.record import ID
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus

PAGE = 500
_AT = datetime(1970, 1, 1, tzinfo=UTC)
"""A mark requires an instant, which a PENDING one does not store."""


async def reopen_lost(source: LanedStore, cuts: Numbers, *, has_foreign_entries: bool) -> int:
    """Returns how many entries are PENDING again. Repeatable after a crash at any point.

    First the lanes are cut, so that a late mark cannot hide an entry behind the search; at the end what was seen of
    them is lowered, so that until then every comparison finds the same again. Raises StoreUnavailable.

    `has_foreign_entries`: the target has been the owner before, so that it may have lost entries of its own.
    """
    await source.cut(cuts)
    reopened = 0
    for lane, number in cuts.items():
        reopened += await _reopen(source, cuts, (SYNC_LANE, SYNC_NUMBER), lane=lane, number=number)
        if has_foreign_entries:
            reopened += await _reopen(source, cuts, (LANE, LANE_NUMBER), lane=lane, number=number)
    await source.lower(cuts)
    return reopened


async def _reopen(
    source: LanedStore, cuts: Numbers, fields: tuple[str, str], *, lane: int, number: int
) -> int:
    by_lane, by_number = fields
    above: Criterion = AllOf((Equals(by_lane, lane), Range(field=by_number, above=number)))
    reopened, last_id = 0, ""
    while True:
        where = AllOf((above, Range(field=ID, above=last_id)))
        page = await source.find(Question(collection=AUDIT_LOGS.collection, where=where, limit=PAGE))
        if not page:
            return reopened
        last_id = page[-1][ID]
        marks = [
            DeliveryMark(entry_id=entry[ID], status=SyncStatus.PENDING, at=_AT, reopens=True)
            for entry in page
            if is_lost(entry, cuts)
        ]
        await source.mark(marks)
        reopened += len(marks)
