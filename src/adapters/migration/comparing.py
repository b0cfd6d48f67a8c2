"""Compares records of two stores as both hold them, by the raw path."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.migration.fingerprints import UNENCODABLE, Canonical, by_id
from adapters.records.raw_reading import RAW_MAX, RawPage, RawReader
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from application.ports.migration import Difference, DifferenceKind

COMPARED = (*(spec.collection for spec in ENTITY_SPECS), AUDIT_LOGS.collection)
"""The collections that both stores must hold alike: everything but control records, which are each store's own."""
_FORMS = {name: Canonical(name) for name in COMPARED}


class ReadableStore(RecordStore, RawReader, Protocol):
    """A record store with a raw path."""


def canonical(collection: str) -> Canonical:
    """The compared form of a collection."""
    return _FORMS[collection]


@dataclass(frozen=True, slots=True)
class Compared:
    """The outcome of one range: how many records either store holds, all of them together, and what differs."""

    source: int
    target: int
    union: int
    differences: list[Difference]


def compare_pages(collection: str, source: RawPage, target: RawPage) -> Compared:
    """Compares what both stores hold of one range of ids."""
    sizes = (_size(source), _size(target))
    if not source.unreadable and not target.unreadable and _are_equal(collection, source, target):
        return Compared(*sizes, sizes[0], [])
    left, right = by_id(source.records), by_id(target.records)
    unreadable = source.unreadable.keys() | target.unreadable.keys()
    ids = sorted(left.keys() | right.keys() | unreadable)
    found = [
        difference
        for record_id in ids
        if (
            difference := _difference(
                collection, record_id, left, right, is_unreadable=record_id in unreadable
            )
        )
    ]
    return Compared(*sizes, len(ids), found)


async def compare_records(
    source: RawReader, target: RawReader, collection: str, ids: Sequence[str]
) -> list[Difference]:
    """What differs at present of these records, in the order of their ids. Raises StoreUnavailable."""
    found: list[Difference] = []
    for start in range(0, len(ids), RAW_MAX):
        part = ids[start : start + RAW_MAX]
        pages = await asyncio.gather(source.raw_fetch(collection, part), target.raw_fetch(collection, part))
        found += compare_pages(collection, *pages).differences
    return found


async def differ_still(source: RawReader, target: RawReader, differences: Sequence[Difference]) -> bool:
    """Whether one of the records that differed does so at present, too. Raises StoreUnavailable."""
    for collection in sorted({one.collection for one in differences}):
        ids = sorted({one.id for one in differences if one.collection == collection})
        if await compare_records(source, target, collection, ids):
            return True
    return False


def clipped(page: RawPage, upto: str | None) -> RawPage:
    """The part of a page with ids up to this one; all of it without one."""
    if upto is None or page.last_id is None or page.last_id <= upto:
        return page
    records = [record for record in page.records if record["id"] <= upto]
    unreadable = {record_id: why for record_id, why in page.unreadable.items() if record_id <= upto}
    return RawPage(records, unreadable, upto, is_last=False, prints=page.prints[: len(records)])


def common_end(pages: Iterable[RawPage]) -> str | None:
    """The id up to which all pages are complete; None where each of them reaches the end of its collection."""
    ends = [page.last_id for page in pages if not page.is_last and page.last_id is not None]
    return min(ends, default=None)


def _size(page: RawPage) -> int:
    return len(page.records) + len(page.unreadable)


def _are_equal(collection: str, source: RawPage, target: RawPage) -> bool:
    if len(source.records) != len(target.records):
        return False
    form = canonical(collection)
    try:
        return form.encoded(source.records) == form.encoded(target.records)
    except UNENCODABLE:
        return False


def _difference(
    collection: str,
    record_id: str,
    left: Mapping[str, Record],
    right: Mapping[str, Record],
    *,
    is_unreadable: bool,
) -> Difference | None:
    form = canonical(collection)
    source, target = left.get(record_id), right.get(record_id)
    source_version = None if source is None else form.version(source)
    target_version = None if target is None else form.version(target)
    fields: tuple[str, ...] = ()
    if is_unreadable:
        kind = DifferenceKind.UNREADABLE
    elif source is None or target is None:
        kind = DifferenceKind.MISSING if target is None else DifferenceKind.EXTRA
    elif not (fields := form.differing_fields(source, target)):
        return None
    else:
        kind = _kind_of(collection, source_version, target_version)
    return Difference(
        collection=collection,
        id=record_id,
        kind=kind,
        fields=fields,
        source_version=source_version,
        target_version=target_version,
    )


def _kind_of(collection: str, source: int | None, target: int | None) -> DifferenceKind:
    # The version of an entry is that of its record: an entry itself never changes.
    if collection == AUDIT_LOGS.collection or source is None or target is None or source == target:
        return DifferenceKind.CHANGED
    return DifferenceKind.BEHIND if target < source else DifferenceKind.AHEAD
