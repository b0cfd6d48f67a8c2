"""Reads a source page by page, around records that cannot be decoded."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from adapters.migration.quarantine import raw_text
from adapters.records.record import ID, CorruptRecord, Record
from adapters.records.record_store import RecordStore
from domain.errors import Conflict


@runtime_checkable
class KeepsBytes(Protocol):
    """A store that can return a record as it is stored, also if it cannot be decoded."""

    async def raw(self, collection: str, record_id: str) -> bytes | None:
        """The stored bytes; None if there is no such record. Raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that cannot be decoded."""

    record_id: str
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class SourcePage:
    """The next records of a range. `after` is the last id that was read, `is_last` whether the range ends here."""

    records: list[Record]
    after: str | None
    is_last: bool
    unreadable: list[Unreadable] = field(default_factory=list)


class SourcePages:
    """The pages of one collection, up to and including the id `until`."""

    def __init__(self, source: RecordStore, collection: str, *, until: str | None) -> None:
        self._source = source
        self._collection = collection
        self._until = until

    async def read(self, after: str | None, limit: int) -> SourcePage:
        """The next page. Raises StoreUnavailable, and Conflict where a record without a known id cannot be read."""
        try:
            records = await self._source.scan(self._collection, after=after, limit=limit)
        except CorruptRecord:
            return await self._read_around(after, limit)
        return self._page(records, after, is_last=len(records) < limit)

    def _page(self, records: list[Record], after: str | None, *, is_last: bool) -> SourcePage:
        until = self._until
        within = records if until is None else [record for record in records if record[ID] <= until]
        last = within[-1][ID] if within else after
        return SourcePage(
            within, last, is_last or len(within) < len(records) or (last is not None and last == until)
        )

    async def _read_around(self, after: str | None, limit: int) -> SourcePage:
        """The records before the first one that cannot be decoded, and that one."""
        before: list[Record] = []
        readable, unreadable = 0, limit
        while unreadable - readable > 1:
            middle = (readable + unreadable) // 2
            try:
                before = await self._source.scan(self._collection, after=after, limit=middle)
                readable = middle
            except CorruptRecord:
                unreadable = middle
        page = self._page(before, after, is_last=False)
        if page.is_last:
            return page
        try:
            await self._source.scan(self._collection, after=page.after, limit=1)
        except CorruptRecord as error:
            return await self._with_unreadable(page, error)
        return page

    async def _with_unreadable(self, page: SourcePage, error: CorruptRecord) -> SourcePage:
        record_id = error.record_id
        if record_id is None:
            raise Conflict(
                f"A record of {self._collection} after {page.after or 'the beginning'} cannot be read, and its id "
                "is not known. Restore it from a copy, or remove it, and run the backfill again."
            ) from error
        if self._until is not None and record_id > self._until:
            return SourcePage(page.records, page.after, is_last=True)
        raw = (
            await self._source.raw(self._collection, record_id)
            if isinstance(self._source, KeepsBytes)
            else None
        )
        text = raw_text({"bytes": raw})
        found = Unreadable(record_id, str(error), text)
        return SourcePage(page.records, record_id, is_last=record_id == self._until, unreadable=[found])
