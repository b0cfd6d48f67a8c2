"""The entries that wait to be mirrored: read from the source in bounded pages, oldest first."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from adapters.dual_write.outbox import waits_for_table
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.criteria import AllOf, Criterion, Equals, IsNull, OneOf, Order, Question, Range
from adapters.records.indexes import UNDELIVERED_ENTRIES
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus

TROUBLED = (SyncStatus.FAILED.value, SyncStatus.PARKED.value)

# Entries of one change set get their ids at once, but ids of other processes may lie between them.
_INTERLEAVED_MAX = 64
_CARRIED_MAX = 20_000

_BY_ID = Order(ID)
_BY_DUE_TIME = Order("syncNextAt")
UNMARKED = IsNull("syncStatus")
"""Entries of processes that did not mirror: nobody else delivers them, so they need no grace period."""
_PENDING = Equals("syncStatus", SyncStatus.PENDING)
_FAILED = Equals("syncStatus", SyncStatus.FAILED)


def unmirrored(collection: str, entity_id: str) -> Criterion:
    """The entries of one record that the target has not confirmed."""
    return AllOf((Equals("collection", collection), Equals("entityId", entity_id), UNDELIVERED_ENTRIES))


class Backlog:
    """Pages of entries. A page contains complete change sets, even if it becomes longer."""

    def __init__(self, source: RecordStore, *, settings: DualWriteSettings) -> None:
        self._source = source
        self._page_max = settings.relay_page_max
        self._grace_seconds = settings.grace_ms / 1000
        self._pause_max = timedelta(seconds=settings.retry_delay_seconds_max + settings.retry_delay_seconds)
        self._candidate: tuple[float, str] | None = None
        self._horizon = ""

    async def horizon(self) -> str:
        """The newest entry older than the grace period; everything up to it is due. Empty where nothing is.

        Newer entries still belong to the requests that wrote them. Ages are measured by observation and not by the
        entries' times, because the clocks of other machines may be wrong.
        """
        now = asyncio.get_running_loop().time()
        newest = await self._find(_PENDING, Order(ID, descending=True), limit=1)
        if not newest:
            self._candidate, self._horizon = None, ""
        elif self._candidate is None:
            self._candidate = (now, newest[0][ID])
        elif now - self._candidate[0] >= self._grace_seconds:
            self._horizon = self._candidate[1]
            self._candidate = (now, newest[0][ID])
        return self._horizon

    async def due(self, *, now: datetime, up_to: str | None) -> AsyncGenerator[list[Record], None]:
        """PENDING entries up to this id (None for all), those without a mark, and FAILED ones whose time has come, page
        by page.

        Pages alternate, so that neither new entries nor old failures starve the others.
        """
        pending = _PENDING if up_to is None else AllOf((_PENDING, Range(field=ID, at_most=up_to)))
        failed = AllOf((_FAILED, Range(field="syncNextAt", at_most=now)))
        # Due later than the longest pause allows: the clock has been set back, so these entries count as due.
        misdated = AllOf((_FAILED, Range(field="syncNextAt", above=now + self._pause_max)))
        streams = [
            self._pages(UNMARKED, _BY_ID),
            self._pages(pending, _BY_ID),
            self._pages(failed, _BY_DUE_TIME),
            self._pages(misdated, _BY_DUE_TIME),
        ]
        while streams:
            for stream in tuple(streams):
                page = await anext(stream, None)
                if page is None:
                    streams.remove(stream)
                else:
                    yield page

    async def first_due(self, *, now: datetime) -> list[Record]:
        """The entries of the change set that is due first; empty where nothing is due."""
        async with aclosing(self.due(now=now, up_to=None)) as pages:
            page: list[Record] = await anext(pages, [])
        return [entry for entry in page if entry["changeSetId"] == page[0]["changeSetId"]]

    async def with_status(
        self, statuses: Sequence[str], *, after: str | None = None, limit: int | None = None
    ) -> list[Record]:
        """One page of entries in one of these states, by id."""
        position = None if after is None else (after, after)
        where = OneOf("syncStatus", tuple(statuses))
        return await self._find(where, _BY_ID, limit=limit or self._page_max, after=position)

    async def of_record(self, collection: str, entity_id: str) -> list[Record]:
        """The undelivered entries of one record, and those that were committed together with them."""
        entries = await self._find(unmirrored(collection, entity_id), _BY_ID, limit=self._page_max)
        sets = [entry["changeSetId"] for entry in entries]
        return await self._together(sets) if sets else []

    async def newest_of(self, collection: str, entity_id: str) -> list[Record]:
        """The newest entry of one record, delivered or not; empty for a record without any."""
        where = AllOf((Equals("collection", collection), Equals("entityId", entity_id)))
        return await self._find(where, Order(VERSION, descending=True), limit=1)

    async def first_waiting(self, collection: str) -> list[Record]:
        """The oldest change set that a blocked table keeps waiting, to find out whether it is still blocked; empty
        without one. Rejected entries do not wait for the table.
        """
        waiting: list[Record] = []
        for status in (UNMARKED, _PENDING):
            waiting += await self._find(_of(collection, status), _BY_ID, limit=1)
        async with aclosing(self._put_off(collection)) as pages:
            waiting += (await anext(pages, []))[:1]
        if not waiting:
            return []
        first = min(waiting, key=lambda entry: str(entry[ID]))
        return await self._together([first["changeSetId"]])

    async def waiting(self, collection: str) -> AsyncGenerator[list[Record], None]:
        """The entries that were put off because a table was blocked, with their whole change sets, page by page."""
        async with aclosing(self._put_off(collection)) as pages:
            async for page in pages:
                yield await self._together([entry["changeSetId"] for entry in page])

    async def _put_off(self, collection: str) -> AsyncGenerator[list[Record], None]:
        """Pages, none of them empty, of the entries that were put off because this table was blocked, by id."""
        after: tuple[str, str] | None = None
        while found := await self._find(_of(collection, _FAILED), _BY_ID, limit=self._page_max, after=after):
            after = (found[-1][ID], found[-1][ID])
            if put_off := [entry for entry in found if waits_for_table(entry)]:
                yield put_off

    async def _together(self, change_set_ids: Sequence[str]) -> list[Record]:
        """The undelivered entries of these change sets."""
        where = AllOf((UNDELIVERED_ENTRIES, OneOf("changeSetId", tuple(sorted(set(change_set_ids))))))
        return await self._find(where, _BY_ID, limit=_CARRIED_MAX)

    async def _pages(self, where: Criterion, order: Order) -> AsyncGenerator[list[Record], None]:
        after: tuple[str | datetime, str] | None = None
        carried: list[Record] = []
        while True:
            found = await self._find(where, order, limit=self._page_max, after=after)
            is_last = len(found) < self._page_max
            ready, carried = _whole_change_sets(carried + found, is_last=is_last)
            if ready:
                yield ready
            if is_last:
                return
            after = (found[-1][order.field], found[-1][ID])

    async def _find(
        self,
        where: Criterion,
        order: Order,
        *,
        limit: int,
        after: tuple[str | datetime, str] | None = None,
    ) -> list[Record]:
        collection = AUDIT_LOGS.collection
        return await self._source.find(
            Question(collection=collection, where=where, order=order, after=after, limit=limit)
        )


def _of(collection: str, status: Criterion) -> Criterion:
    """The entries in a state that a blocked table can keep waiting; the table of entries keeps all."""
    is_entries = collection == AUDIT_LOGS.collection
    return status if is_entries else AllOf((status, Equals("collection", collection)))


def _whole_change_sets(entries: list[Record], *, is_last: bool) -> tuple[list[Record], list[Record]]:
    """The entries of complete change sets, and those whose change set may continue on the next page."""
    if is_last or len(entries) > _CARRIED_MAX:
        return entries, []
    unfinished = {entry["changeSetId"] for entry in entries[-_INTERLEAVED_MAX:]}
    ready = [entry for entry in entries if entry["changeSetId"] not in unfinished]
    return ready, [entry for entry in entries if entry["changeSetId"] in unfinished]
