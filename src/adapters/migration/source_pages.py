"""Reads a source page by page, around records that cannot be decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from adapters.migration.quarantine import raw_text
from adapters.records.record import ID, VERSION, CorruptRecord, Record
from adapters.records.record_store import RecordStore
from domain.errors import Conflict


@runtime_checkable
class KeepsBytes(Protocol):
    """A store that can return a record as it is stored, also if it cannot be decoded."""

    async def raw(self, collection: str, record_id: str) -> bytes | None:
        """The stored bytes; None if there is no such record. Raises StoreUnavailable."""
        ...


@runtime_checkable
class HoldsOthers(Protocol):
    """A store that may hold documents whose ids no record can have. `scan` leaves them out."""

    async def other_documents(self, collection: str, *, limit: int) -> Mapping[str, bytes]:
        """The bytes of the first of them, by name: the id as extended JSON in brackets. Raises StoreUnavailable."""
        ...


OTHERS_MAX = 1_000
"""How many documents with other ids are put in quarantine, which takes no more than that."""
OTHER_ID = (
    "The id is of a kind that no record has. Store it under a text of 24 hexadecimal digits, or remove it."
)

NO_VERSION = "Its version is no whole number. Restore it from a copy, or correct it."


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
        """The next page; the first one also has what lies outside the order of ids. Raises StoreUnavailable, and
        Conflict where a record without a known id cannot be read.
        """
        page = await self._next(after, limit)
        if after is None and isinstance(self._source, HoldsOthers):
            others = await self._source.other_documents(self._collection, limit=OTHERS_MAX)
            found = [Unreadable(name, OTHER_ID, raw_text({"bytes": data})) for name, data in others.items()]
            return replace(page, unreadable=[*found, *page.unreadable])
        return page

    async def _next(self, after: str | None, limit: int) -> SourcePage:
        try:
            records = await self._source.scan(self._collection, after=after, limit=limit)
        except CorruptRecord:
            return await self._read_around(after, limit)
        return self._page(records, after, is_last=len(records) < limit)

    def _page(self, records: list[Record], after: str | None, *, is_last: bool) -> SourcePage:
        until = self._until
        within = records if until is None else [record for record in records if record[ID] <= until]
        last = within[-1][ID] if within else after
        is_last = is_last or len(within) < len(records) or (last is not None and last == until)
        # Versions decide which state stays, so nothing can be done with a record without one.
        unreadable = [
            Unreadable(record[ID], NO_VERSION, raw_text(record))
            for record in within
            if not has_version(record)
        ]
        return SourcePage([record for record in within if has_version(record)], last, is_last, unreadable)

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
            return replace(page, is_last=True)
        raw = (
            await self._source.raw(self._collection, record_id)
            if isinstance(self._source, KeepsBytes)
            else None
        )
        text = raw_text({"bytes": raw})
        found = Unreadable(record_id, str(error), text)
        unreadable = [*page.unreadable, found]
        return SourcePage(page.records, record_id, is_last=record_id == self._until, unreadable=unreadable)


def has_version(record: Record) -> bool:
    """Whether the version is a number, as everything that compares two states needs it."""
    return type(record.get(VERSION)) is int
