"""A backfill brings everything, once, beside other writes, and continues where it was ended."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.migration.backfill import COLLECTIONS
from adapters.migration.checkpoints import checkpoints_of
from adapters.migration.range_loader import BackfillSettings, RangeLoader
from adapters.migration.retry_budget import RETRY_SECONDS_TOTAL
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet, LaneStamp, Put
from adapters.records.loading import Loaded
from adapters.records.record import ID, Record
from adapters.records.specs import AUDIT_LOGS
from adapters.records.wrapped_store import WrappedStore
from application.ports.migration import Progress
from domain.errors import Conflict, StoreUnavailable
from tests.unit.adapters.migration.backfill_world import (
    HERE,
    are_equal,
    backfill,
    commit,
    contents,
    deliver_rest,
    fill,
    ignore,
    two_stores,
)
from tests.unit.contracts.builders import erasure, fetched, numbered_id, put, task


class Watched(WrappedStore):
    """A target or source that counts what passes, and can fail or be held up on the way."""

    def __init__(self, inner: MontyRecordStore) -> None:
        super().__init__(inner)
        self._store = inner
        self.scanned: list[tuple[str, str | None]] = []
        self.pages: list[int] = []
        self.failures = 0
        self.is_reply_lost = False

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        self.scanned.append((collection, after))
        return await self._store.scan(collection, after=after, limit=limit)

    async def load(self, collection: str, records: Any, *, checkpoint: Put | None) -> Loaded:
        self.pages.append(len(records))
        if self.failures and records:
            self.failures -= 1
            if self.is_reply_lost:
                await self._store.load(collection, records, checkpoint=checkpoint)
            raise StoreUnavailable("It is down.")
        return await self._store.load(collection, records, checkpoint=checkpoint)


async def test_everything_arrives_and_its_history_is_delivered() -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=130)
        await commit(source, put("tasks", task(1, version=2, title="Newer", extra={"kept": [1]})))
        await commit(source, erasure("tasks", 2, version=2))
        reports: list[Progress] = []
        read = await backfill(source, target).run(reports.append)
        assert await are_equal(source, target)
        assert read == sum(map(len, (await contents(source)).values()))
        assert await deliver_rest(source, target) == 0
        assert (reports[-1].done, reports[-1].total) == (read, read)


async def test_records_without_entries_arrive() -> None:
    async with two_stores() as (source, target):
        await source.commit(ChangeSet((put("tasks", task(1)),)))
        await backfill(source, target).run(ignore)
        assert await fetched(target, "tasks", 1) is not None


async def test_delivered_entries_carry_the_stamp_of_the_load() -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=3)
        await backfill(source, target).run(ignore)
        lanes = (await target.positions()).lanes
        seen = (await source.positions()).seen
        for one in await source.scan(AUDIT_LOGS.collection, after=None, limit=99):
            stamp = LaneStamp(one["syncLane"], one["syncNumber"])
            assert lanes[stamp.lane].number >= stamp.number
            assert seen[stamp.lane].number >= stamp.number


async def test_an_entry_is_left_to_the_relay_unless_the_target_holds_its_version() -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=2)
        await backfill(source, target).run(ignore)
        late = await commit(source, put("tasks", task(1, version=2)), syncStatus="PENDING")
        other = replace(HERE, incarnation=2)
        held = put("tasks", task(2, version=9))
        await target.apply([ChangeSet((held,))])
        ahead = await commit(source, put("tasks", task(2, version=2)), syncStatus="PENDING")

        class Behind(Watched):
            async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
                found = await super().scan(collection, after=after, limit=limit)
                return [one for one in found if collection != "tasks" or one[ID] != numbered_id(1)]

        await backfill(Behind(source), target, destination=other).run(ignore)
        there = await target.fetch(AUDIT_LOGS.collection, [*late.entry_ids, *ahead.entry_ids])
        assert there == {}
        statuses = await source.fetch(AUDIT_LOGS.collection, [*late.entry_ids, *ahead.entry_ids])
        assert {one["syncStatus"] for one in statuses.values()} == {"PENDING"}


async def test_a_parked_entry_stays_parked() -> None:
    async with two_stores() as (source, target):
        parked = await commit(source, put("tasks", task(1)), syncStatus="PARKED")
        await backfill(source, target).run(ignore)
        (stored,) = (await source.fetch(AUDIT_LOGS.collection, parked.entry_ids)).values()
        assert stored["syncStatus"] == "PARKED"
        assert not await target.fetch(AUDIT_LOGS.collection, parked.entry_ids)


@pytest.mark.parametrize("workers", [1, 3])
async def test_writes_meanwhile_end_equal(workers: int) -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=400)
        ended = asyncio.Event()

        async def write() -> None:
            number = 0
            while not ended.is_set() or number < 60:
                number += 1
                version = 2 + number // 100
                await commit(source, put("tasks", task(1_000 + number)), syncStatus="PENDING")
                if version == 2:
                    await commit(
                        source,
                        put("tasks", task(3 * number, version=2, title="Changed")),
                        syncStatus="PENDING",
                    )
                    await commit(source, erasure("tasks", 3 * number + 1, version=2), syncStatus="PENDING")
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        await backfill(source, target, workers=workers).run(ignore)
        ended.set()
        await writing
        await deliver_rest(source, target)
        assert await are_equal(source, target)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_cancelled_backfill_continues_after_the_last_page(workers: int) -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=600)
        for _ in range(40):
            running = asyncio.create_task(backfill(source, target, workers=workers, page_max=60).run(ignore))
            await asyncio.wait([running], timeout=0.02)
            if running.done():
                break
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        watched = Watched(source)
        await backfill(watched, target).run(ignore)
        assert await are_equal(source, target)
        again = Watched(source)
        assert await backfill(again, target).run(ignore) == 0
        assert again.scanned == [("control", "quarantine:")] * len(COLLECTIONS)


async def test_passed_records_are_not_read_again() -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=500)

        def stop(progress: Progress) -> None:
            if progress.collection == "tasks" and progress.done > 300:
                raise KeyError("stopped")

        with pytest.raises(KeyError):
            await backfill(source, target, page_max=50).run(stop)
        (checkpoint,) = await checkpoints_of(target, "tasks", HERE)
        watched = Watched(source)
        await backfill(watched, target).run(ignore)
        assert checkpoint.after is not None
        assert ("tasks", checkpoint.after) in watched.scanned
        assert ("tasks", None) not in watched.scanned
        assert ("users", None) not in watched.scanned


async def test_another_target_or_incarnation_begins_anew() -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=5)
        first = await backfill(source, target).run(ignore)
        assert await backfill(source, target).run(ignore) == 0
        again = await backfill(source, target, destination=replace(HERE, incarnation=2)).run(ignore)
        assert again == first


@pytest.mark.parametrize("is_reply_lost", [False, True])
async def test_an_outage_in_between_costs_only_time(is_reply_lost: bool) -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=120)
        watched = Watched(target)
        watched.failures, watched.is_reply_lost = 2, is_reply_lost
        shown: list[Progress] = []
        await backfill(source, watched).run(shown.append)
        assert watched.failures == 0
        assert await are_equal(source, target)
        waits = [one.waits_for for one in shown if one.waits_for is not None]
        assert [wait.split(":", 1)[1] for wait in waits] == [" It is down."] * 2
        assert waits[0].startswith(f"It gives up in {RETRY_SECONDS_TOTAL:.0f} s unless the store answers")
        assert shown[-1].waits_for is None


async def test_a_long_outage_ends_it_with_its_cause() -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=3)
        watched = Watched(target)
        watched.failures = 1_000
        with pytest.raises(StoreUnavailable, match="It is down"):
            await backfill(source, watched, retry_seconds=0.3).run(ignore)


async def test_the_time_of_calls_that_fail_counts_for_the_bound() -> None:
    calls = 0

    async def late() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.2)
        raise StoreUnavailable("It is down.")

    async with two_stores() as (source, target):
        loader = RangeLoader(
            source,
            target,
            destination=HERE,
            settings=BackfillSettings(retry_seconds=0.3),
            original=source,
            on_wait=lambda _: None,
        )
        with pytest.raises(StoreUnavailable, match="It is down"):
            await loader.retried(late)
    assert calls == 2


async def test_two_backfills_do_not_fill_one_target() -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=2_000)
        both = [asyncio.create_task(backfill(source, target, page_max=50).run(ignore)) for _ in range(2)]
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, Conflict)]
        assert len(refused) >= 1
        assert "belongs to another backfill" in refused[0].message


async def test_a_paused_backfill_waits_and_a_rate_is_kept() -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=30)
        paused = [True]

        async def is_paused() -> bool:
            return paused[0]

        running = asyncio.create_task(backfill(source, target, is_paused=is_paused, rate=200).run(ignore))
        await asyncio.sleep(0.1)
        assert await target.scan("users", after=None, limit=9) == []
        paused[0] = False
        began = asyncio.get_running_loop().time()
        read = await running
        assert asyncio.get_running_loop().time() - began >= 0.9 * (read - 10) / 200
        assert await are_equal(source, target)


async def test_no_page_exceeds_its_bound() -> None:
    async with two_stores() as (source, target):
        await fill(source, tasks=500)
        watched = Watched(target)
        await backfill(source, watched, page_max=80).run(ignore)
        assert max(watched.pages) == 80
        assert next(size for size in watched.pages if size > 10) <= 50
