"""The self-test of a verification."""

from collections.abc import AsyncIterator, Sequence

import pytest

from adapters.migration.self_test import self_test
from adapters.monty.record_store import MontyRecordStore
from adapters.records.raw_reading import RawPage
from domain.errors import Invalid
from tests.unit.adapters.migration.pair import Pair, new_pair
from tests.unit.contracts.builders import label, project, put, task, user


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as stores:
        yield stores


class _Blind(MontyRecordStore):
    """Leaves out one field, as a decoder that forgets it."""

    async def raw_scan(self, collection: str, *, after: str | None, limit: int) -> RawPage:
        return _without_stamp(await super().raw_scan(collection, after=after, limit=limit))

    async def raw_fetch(self, collection: str, ids: Sequence[str]) -> RawPage:
        return _without_stamp(await super().raw_fetch(collection, ids))


def _without_stamp(page: RawPage) -> RawPage:
    for record in page.records:
        record.pop("updatedAt", None)
    return page


def _scratch() -> MontyRecordStore:
    return MontyRecordStore(None)


@pytest.mark.parametrize("count", [1, 5, 60, 300])
async def test_all_corrupted_records_are_found_in_an_empty_source(pair: Pair, count: int) -> None:
    assert await self_test(pair.source, _scratch, count, clock=pair.clock) == count


async def test_records_of_every_collection_are_corrupted(pair: Pair) -> None:
    await pair.mirror(put("labels", label(1)), put("projects", project(2)), put("users", user(3)))
    await pair.mirror(*(put("tasks", task(number, displayId=number)) for number in range(1, 30)))

    assert await self_test(pair.source, _scratch, 40, clock=pair.clock) == 40
    assert (await pair.verify()).is_clean


async def test_a_verification_that_is_blind_for_a_field_fails_the_self_test(pair: Pair) -> None:
    assert await self_test(pair.source, lambda: _Blind(None), 40, clock=pair.clock) < 40


@pytest.mark.parametrize("count", [0, -1, 1_001])
async def test_other_counts_are_rejected(pair: Pair, count: int) -> None:
    with pytest.raises(Invalid, match="from 1 to 1000"):
        await self_test(pair.source, _scratch, count, clock=pair.clock)
