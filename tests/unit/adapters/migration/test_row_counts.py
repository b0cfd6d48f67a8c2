"""Numbers of records that differ stop a move unless it is known why."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from adapters.migration.differing import StoresDiffer
from adapters.migration.row_counts import RowCounts
from application.ports.migration import SkippedRecord, Verification
from tests.unit.adapters.migration.pair import Pair, new_pair
from tests.unit.contracts.builders import numbered_id, put, task

SKIPPED = SkippedRecord(collection="tasks", id=numbered_id(1), reason="A draft.")


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as stores:
        await stores.mirror(put("tasks", task(2)))
        yield stores


def counts(pair: Pair, found: Verification | None, *, skipped: Sequence[SkippedRecord] = ()) -> RowCounts:
    async def compare(_: Sequence[str]) -> Verification:
        assert found is not None, "nothing had to be compared"
        return found

    return RowCounts(pair.source, pair.target, clock=pair.clock, compare=compare, skipped=skipped)


async def test_a_record_that_is_known_to_be_skipped_costs_no_comparison(pair: Pair) -> None:
    await pair.source.load("tasks", [task(1)], checkpoint=None)
    known = counts(pair, None, skipped=[SKIPPED])
    await known.require_alike()
    await known.require_same()


async def test_numbers_that_no_complete_comparison_explains_stop_the_move(pair: Pair) -> None:
    clean = await pair.verify()
    await pair.source.load("tasks", [task(1)], checkpoint=None)
    partly = replace(
        clean, collections=tuple(replace(row, compared=row.compared - 1) for row in clean.collections)
    )
    with pytest.raises(StoresDiffer, match=r"Only .* could be compared"):
        await counts(pair, partly).require_alike()
