"""The steps of a move are kept in their order, and no more of them than the maximum."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from adapters.migration.steps import STEPS_MAX, note_step, steps_of
from adapters.records.change_set import ChangeSet
from application.ports.migration import StepTaken
from domain.errors import StoreUnavailable, VersionConflict
from tests.unit.memory_store import MemoryRecordStore

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def step(number: int, *, pause_ms: int | None = None) -> StepTaken:
    at = AT + timedelta(seconds=number)
    return StepTaken(step="backfill", at=at, by="anna", detail=f"step {number}", pause_ms=pause_ms)


async def test_nothing_was_done_in_a_new_installation() -> None:
    assert await steps_of(MemoryRecordStore()) == ()


async def test_steps_are_kept_in_their_order_with_who_when_and_how_long() -> None:
    store = MemoryRecordStore()
    taken = (step(1), step(2, pause_ms=9), step(3))
    for one in taken:
        await note_step(store, one)
    assert await steps_of(store) == taken


async def test_the_oldest_steps_are_left_out_beyond_the_maximum() -> None:
    store = MemoryRecordStore()
    for number in range(STEPS_MAX + 2):
        await note_step(store, step(number))
    kept = await steps_of(store)
    assert len(kept) == STEPS_MAX
    assert (kept[0], kept[-1]) == (step(2), step(STEPS_MAX + 1))


async def test_steps_of_two_processes_at_the_same_time_are_both_kept() -> None:
    store = MemoryRecordStore()
    await asyncio.gather(*(note_step(store, step(number)) for number in range(4)))
    assert {taken.detail for taken in await steps_of(store)} == {f"step {number}" for number in range(4)}


class Overtaken(MemoryRecordStore):
    """A store in which others always write first."""

    async def commit(self, change_set: ChangeSet) -> None:
        raise VersionConflict


async def test_a_step_that_cannot_be_kept_is_reported() -> None:
    with pytest.raises(StoreUnavailable, match="try again"):
        await note_step(Overtaken(), step(1))
