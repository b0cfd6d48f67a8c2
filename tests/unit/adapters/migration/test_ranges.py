"""An incremental verification compares what has changed, and nothing that it says was compared was not."""

from collections.abc import AsyncIterator

import pytest

from adapters.migration.ranges import RANGES_IN_RECORD, Range, Ranges, keep_ranges, letters_of, load_ranges
from adapters.migration.verification import Verifier
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.raw_reading import Digest, RawPage
from application.ports.migration import Verification
from tests.unit.adapters.migration.pair import QUICK, Pair, facts, new_pair, next_version
from tests.unit.builders import NOON
from tests.unit.contracts.builders import numbered_id, put, task

PAGE = 5


class _Reading:
    """A raw reader that counts the records it decodes."""

    def __init__(self, store: MontyRecordStore) -> None:
        self._store = store
        self.decoded = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def raw_scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        page = await self._store.raw_scan(collection, after=after, limit=limit)
        self.decoded += len(page.records)
        return page


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as stores:
        for number in range(1, 41):
            await stores.mirror(put("tasks", task(number)))
        yield stores


async def _verify(
    pair: Pair, known: Ranges | None = None, *, incarnation: int = 1
) -> tuple[Verification, Ranges, int]:
    """What was found, the ranges, and how many records of the source were decoded."""
    source = _Reading(pair.source)
    verifier = Verifier(source, pair.target, clock=pair.clock, patience=QUICK, page=PAGE)  # type: ignore[arg-type]
    found = await verifier.verify(pair.progress.append, incarnation=incarnation, epoch=1, known=known)
    assert verifier.ranges is not None
    return found, verifier.ranges, source.decoded


async def test_unchanged_ranges_are_not_read_again_and_count_as_compared(pair: Pair) -> None:
    full, ranges, read = await _verify(pair)
    again, same, read_again = await _verify(pair, ranges)
    assert (full.mode, again.mode, again.is_clean) == ("full", "incremental", True)
    assert again.collections == full.collections
    assert same == ranges
    assert (read >= 80, read_again) == (True, 0)


async def test_a_change_in_either_store_is_found_and_only_its_range_is_read(pair: Pair) -> None:
    _, ranges, _ = await _verify(pair)
    await pair.edit("tasks", task(12, title="By hand"), over=1)
    found, after, read = await _verify(pair, ranges)
    assert facts(found) == [("CHANGED", "c", ("title",))]
    assert found.coverage == 1.0
    assert 0 < read <= 2 * PAGE
    # What differs is not remembered as equal.
    assert facts((await _verify(pair, after))[0]) == facts(found)
    await pair.source.commit(ChangeSet((Put("tasks", task(12, title="By hand"), 1),)))
    assert (await _verify(pair, after))[0].is_clean


@pytest.mark.parametrize("number", [0, 17, 99])
async def test_a_record_that_somebody_adds_anywhere_is_found(pair: Pair, number: int) -> None:
    _, ranges, _ = await _verify(pair)
    extra = {**task(17), "id": numbered_id(17)[:-1] + "1a"} if number == 17 else task(number)
    await pair.edit("tasks", extra, over=0)
    found, _, _ = await _verify(pair, ranges)
    assert [(one.kind.value, one.id) for one in found.differences] == [("EXTRA", extra["id"])]


async def test_a_record_that_vanishes_is_found(pair: Pair) -> None:
    _, ranges, _ = await _verify(pair)
    pair.target._file.writer.execute("DELETE FROM tasks WHERE id = ?", (numbered_id(9),))
    found, _, _ = await _verify(pair, ranges)
    assert facts(found) == [("MISSING", "9", ())]


async def test_new_records_are_compared_and_their_ranges_added(pair: Pair) -> None:
    _, ranges, _ = await _verify(pair)
    await pair.mirror(put("tasks", task(41)), put("tasks", next_version(task(3), title="Later")))
    found, after, _ = await _verify(pair, ranges)
    rows = {row.collection: row for row in found.collections}
    assert (found.is_clean, rows["tasks"].compared, rows["audit_logs"].compared) == (True, 41, 42)
    assert (await _verify(pair, after))[2] == 0


async def test_ranges_of_another_incarnation_say_nothing(pair: Pair) -> None:
    _, ranges, full = await _verify(pair)
    found, _, read = await _verify(pair, ranges, incarnation=2)
    assert found.is_clean
    assert read == full


async def test_ranges_are_kept_in_parts(pair: Pair) -> None:
    digest = Digest(1, "7"), Digest(1, "8")
    many = [
        Range(numbered_id(number), digest if number % 3 else None) for number in range(RANGES_IN_RECORD + 7)
    ]
    for of in ({"tasks": many, "labels": many[:2]}, {"tasks": many[:1]}):
        ranges = Ranges(incarnation=1, epoch=2, by_collection=of)
        await keep_ranges(pair.source, ranges, as_of=NOON)
        assert await load_ranges(pair.source) == ranges


@pytest.mark.parametrize(("buckets", "letters"), [(96, "EUED"), (4, "EUED"), (3, "EUD"), (2, "UD"), (1, "D")])
def test_a_bucket_shows_the_worst_of_its_ranges(buckets: int, letters: str) -> None:
    digest = Digest(1, "7"), Digest(1, "8")
    ranges = [Range(numbered_id(place), None if place == 20 else digest) for place in (10, 20, 30, 40)]
    assert letters_of(ranges, [numbered_id(31), numbered_id(77)], buckets=buckets) == letters
    assert letters_of([], [], buckets=buckets) == ""
