"""Makes exactly those entries PENDING again that a target lacks which is an older copy of itself."""

from collections.abc import AsyncIterator, Callable
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


async def reopen_lost(
    source: LanedStore, cuts: Numbers, *, has_foreign_entries: bool, on_reopened: Callable[[int], None]
) -> None:
    """Makes the entries PENDING. Repeatable after a crash at any point. Raises StoreUnavailable.

    First the lanes are cut, so that a late mark cannot hide an entry behind the search. Afterwards the caller lowers
    what was seen of them, so that until then every comparison finds the same again.

    `has_foreign_entries`: the target has been the owner before, so that it may have lost entries of its own.
    `on_reopened` is called with the number of entries of each page.
    """
    await source.cut(cuts)
    for lane, number in cuts.items():
        searches = (
            [(SYNC_LANE, SYNC_NUMBER), (LANE, LANE_NUMBER)]
            if has_foreign_entries
            else [(SYNC_LANE, SYNC_NUMBER)]
        )
        for fields in searches:
            async for count in _reopened(source, cuts, fields, lane=lane, number=number):
                on_reopened(count)


async def _reopened(
    source: LanedStore, cuts: Numbers, fields: tuple[str, str], *, lane: int, number: int
) -> AsyncIterator[int]:
    by_lane, by_number = fields
    above: Criterion = AllOf((Equals(by_lane, lane), Range(field=by_number, above=number)))
    last_id = ""
    while True:
        where = AllOf((above, Range(field=ID, above=last_id)))
        page = await source.find(Question(collection=AUDIT_LOGS.collection, where=where, limit=PAGE))
        if not page:
            return
        last_id = page[-1][ID]
        marks = [
            DeliveryMark(entry_id=entry[ID], status=SyncStatus.PENDING, at=_AT, reopens=True)
            for entry in page
            if is_lost(entry, cuts)
        ]
        await source.mark(marks)
        yield len(marks)
