"""The ranges of ids that were equal, with a digest of each store, so that unchanged ones need not be compared again.

A digest belongs to the very records that were compared, so a record that somebody changed between two reads never
counts as compared.
"""

import secrets
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from adapters.records.control_records import read_control, write_control
from adapters.records.raw_reading import Digest, RawPage, digest_of
from adapters.records.record_store import RecordStore

RANGES_ID = "verified-ranges"
RANGES_STORED_MAX: Final = 50_000
"""A verification of more ranges stores none; they would be of 1,000 records, so of 50 million."""
RANGES_IN_RECORD: Final = 500


@dataclass(frozen=True, slots=True)
class Range:
    """Ids up to `upto`, behind those of the range before. `digest`: those of the source and of the target, where both
    held equal records; None where they did not.
    """

    upto: str
    digest: tuple[Digest, Digest] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """The ranges of a verification by collection, in order; of this incarnation of the target, and this epoch."""

    incarnation: int
    epoch: int
    by_collection: dict[str, list[Range]]
    as_of: datetime | None = field(default=None, compare=False)

    def of(self, collection: str, *, incarnation: int, epoch: int) -> Sequence[Range]:
        """The ranges of a collection; none where they are about other stores."""
        is_same = (self.incarnation, self.epoch) == (incarnation, epoch)
        return self.by_collection.get(collection, ()) if is_same else ()


def compared_range(source: RawPage, target: RawPage, *, upto: str | None, is_equal: bool) -> Range | None:
    """The range of two pages; None where they are empty."""
    end = upto or max(filter(None, (source.last_id, target.last_id)), default=None)
    if end is None:
        return None
    pages = (source, target)
    is_whole = all(len(page.prints) == len(page.records) and not page.unreadable for page in pages)
    if not is_equal or not is_whole:
        return Range(end, None)
    return Range(end, (digest_of(source.prints), digest_of(target.prints)))


async def keep_ranges(store: RecordStore, ranges: Ranges, *, as_of: datetime) -> None:
    """Replaces the ranges of the store; of too many none are kept. Raises VersionConflict and StoreUnavailable."""
    rows = [_row(collection, one) for collection, of in ranges.by_collection.items() for one in of]
    if len(rows) > RANGES_STORED_MAX:
        rows = []
    tag = secrets.token_hex(8)
    parts = [rows[start : start + RANGES_IN_RECORD] for start in range(0, len(rows), RANGES_IN_RECORD)]
    for number, part in enumerate(parts):
        await _write(store, f"{RANGES_ID}-{number}", {"tag": tag, "rows": part})
    head = {
        "tag": tag,
        "parts": len(parts),
        "incarnation": ranges.incarnation,
        "epoch": ranges.epoch,
        "asOf": as_of.isoformat(),
    }
    await _write(store, RANGES_ID, head)


async def load_ranges(store: RecordStore) -> Ranges | None:
    """The ranges of the last verification; None without one, or while others replace them. Raises StoreUnavailable."""
    _, head = await read_control(store, RANGES_ID)
    if head is None:
        return None
    by_collection: dict[str, list[Range]] = {}
    for number in range(head["parts"]):
        _, part = await read_control(store, f"{RANGES_ID}-{number}")
        if part is None or part["tag"] != head["tag"]:
            return None
        for collection, one in map(_range, part["rows"]):
            by_collection.setdefault(collection, []).append(one)
    return Ranges(
        incarnation=head["incarnation"],
        epoch=head["epoch"],
        by_collection=by_collection,
        as_of=datetime.fromisoformat(head["asOf"]),
    )


def letters_of(ranges: Sequence[Range], differing: Iterable[str], *, buckets: int) -> str:
    """One letter for each bucket of consecutive ranges, at most so many: `D` where one of the ids that differ lies, `U`
    where something was not compared as it is, `E` where everything was equal. Ids behind the last range count to it.
    """
    bounds = [one.upto for one in ranges]
    marked = {min(bisect_left(bounds, id_), len(bounds) - 1) for id_ in differing}
    letters = [
        "D" if place in marked else "U" if one.digest is None else "E" for place, one in enumerate(ranges)
    ]
    count = min(buckets, len(letters))
    edges = [place * len(letters) // max(count, 1) for place in range(count + 1)]
    return "".join(
        next(letter for letter in "DUE" if letter in letters[start:end]) for start, end in pairwise(edges)
    )


async def _write(store: RecordStore, id: str, value: dict[str, Any]) -> None:
    version, _ = await read_control(store, id)
    await write_control(store, id, value, over=version)


def _row(collection: str, one: Range) -> list[Any]:
    if one.digest is None:
        return [collection, one.upto]
    return [collection, one.upto, *([of.count, of.value] for of in one.digest)]


def _range(row: Sequence[Any]) -> tuple[str, Range]:
    collection, upto, *digests = row
    if not digests:
        return collection, Range(upto, None)
    source, target = (Digest(int(count), value) for count, value in digests)
    return collection, Range(upto, (source, target))


def groups_of(ranges: Sequence[Range], size: int) -> Iterable[Sequence[Range]]:
    """The ranges in groups of at most this size, in order."""
    return (ranges[start : start + size] for start in range(0, len(ranges), size))
