"""Records that stay behind because an operator decided so: verification lists them apart from the differences.

A decision is about one content. It holds as long as the store that held the record still holds that one, and the other
store holds nothing of it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from adapters.migration.comparing import ReadableStore, canonical
from adapters.migration.quarantine import Decision, Quarantine
from adapters.records.raw_reading import RawPage, RawReader
from application.ports.migration import (
    CollectionCoverage,
    Difference,
    DifferenceKind,
    Quarantined,
    SkippedRecord,
    Verification,
)

_ABSENT_IN_ONE: Final = frozenset({DifferenceKind.MISSING, DifferenceKind.EXTRA, DifferenceKind.UNREADABLE})
RecordKey = tuple[str, str]


async def skip(quarantine: Quarantine, source: ReadableStore, id: str, *, because: str) -> Quarantined:
    """Leaves a quarantined record behind, as the source holds it now. Raises NotFound and StoreUnavailable."""
    kept = await quarantine.one(id)
    page = await source.raw_fetch(kept.collection, [kept.record_id])
    content = content_of(page, kept.collection, kept.record_id)
    return await quarantine.note(
        id, Decision.SKIP, because=because, content=content, held_by=None if content is None else source.name
    )


async def without_skipped(
    found: Verification, source: ReadableStore, target: ReadableStore, quarantined: Sequence[Quarantined]
) -> Verification:
    """The verification with skipped records listed apart from its differences. Raises StoreUnavailable."""
    differing = {(one.collection, one.id): one for one in found.differences if one.kind in _ABSENT_IN_ONE}
    candidates = [
        one
        for one in quarantined
        if one.decision == Decision.SKIP and (one.collection, one.record_id) in differing
    ]
    known: dict[RecordKey, SkippedRecord] = {}
    for holder, other in ((source, target), (target, source)):
        known |= await _still_skipped(
            [one for one in candidates if one.held_by == holder.name], holder, other
        )
    return _apart(found, known, [differing[key] for key in known])


def content_of(page: RawPage, collection: str, record_id: str) -> str | None:
    """What identifies the content of a record: its version, or the reason why nothing can be decoded."""
    if record_id in page.unreadable:
        return page.unreadable[record_id]
    record = next((one for one in page.records if one["id"] == record_id), None)
    version = None if record is None else canonical(collection).version(record)
    return None if version is None else f"version {version}"


async def _still_skipped(
    candidates: Sequence[Quarantined], holder: RawReader, other: RawReader
) -> dict[RecordKey, SkippedRecord]:
    by_collection: dict[str, list[Quarantined]] = defaultdict(list)
    for one in candidates:
        by_collection[one.collection].append(one)
    known: dict[RecordKey, SkippedRecord] = {}
    for collection, ones in by_collection.items():
        ids = [one.record_id for one in ones]
        held, elsewhere = await holder.raw_fetch(collection, ids), await other.raw_fetch(collection, ids)
        present = {record["id"] for record in elsewhere.records} | elsewhere.unreadable.keys()
        for one in ones:
            content = content_of(held, collection, one.record_id)
            if content is not None and content == one.content and one.record_id not in present:
                known[collection, one.record_id] = SkippedRecord(
                    collection=collection, id=one.record_id, reason=one.decided_because or ""
                )
    return known


def _apart(
    found: Verification, known: dict[RecordKey, SkippedRecord], differences: Sequence[Difference]
) -> Verification:
    counts = Counter(one.collection for one in differences)
    unreadable = Counter(one.collection for one in differences if one.kind is DifferenceKind.UNREADABLE)

    def row_without(row: CollectionCoverage) -> CollectionCoverage:
        # What cannot be decoded was not compared, and nothing else is known of it than that it was skipped.
        return replace(
            row,
            compared=row.compared + unreadable[row.collection],
            differences=row.differences - counts[row.collection],
        )

    return replace(
        found,
        collections=tuple(map(row_without, found.collections)),
        differences=tuple(one for one in found.differences if (one.collection, one.id) not in known),
        difference_count=found.difference_count - len(differences),
        skipped=tuple(known[key] for key in sorted(known)),
    )
