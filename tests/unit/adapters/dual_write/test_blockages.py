"""A blocked table stops what touches it, and nothing else; it is tried again by itself."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.dual_write.backlog import Backlog
from adapters.dual_write.blockages import PAUSES_SECONDS, Blockages
from adapters.dual_write.settings import MirrorMode
from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet, DeliveryMark, Put, Rejection
from adapters.records.specs import AUDIT_LOGS
from domain.audit import SyncStatus
from domain.errors import MirrorPending
from tests.unit.adapters.dual_write.virtual_time import NOON, simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    QUICK,
    Stores,
    assert_promises,
    change_set_of,
    creation,
    entries_of,
    left_pending,
    relaying,
    statuses,
    stopped,
)
from tests.unit.builders import numbered_id
from tests.unit.memory_store import MemoryRecordStore

LOCKED = Blocked(LABEL, "postgres_labels", "It is locked.", "55P03")
ENTRIES = Blocked(AUDIT_LOGS.collection, "postgres_audit_logs", "It is locked.", "55P03")
RECOVER_SECONDS_MAX = 10.0
STRICT = replace(QUICK, mode=MirrorMode.STRICT)


def test_nothing_is_known_of_tables_once_the_target_does_not_answer() -> None:
    async def check() -> None:
        blockages = Blockages()
        blockages.learn([change_set_of(creation(1))], [LOCKED])
        assert blockages.blocking(change_set_of(creation(2))) == LOCKED
        blockages.forget_all()
        assert blockages.tables() == []
        assert blockages.blocking(change_set_of(creation(2))) is None
        assert blockages.freed == {LABEL}

    simulate(check())


class ObstructedStore(MemoryRecordStore):
    """Blocks a table or a record while `blocked` is set, and counts the change sets that it was sent."""

    def __init__(self) -> None:
        super().__init__("target")
        self.blocked: Blocked | None = None
        self.tried = 0

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        outcomes: list[ApplyOutcome] = []
        for change_set in change_sets:
            self.tried += 1
            is_concerned = self.blocked is not None and (
                self.blocked.record_id is None
                or (self.blocked.collection, self.blocked.record_id) in change_set.touched()
            )
            outcomes += [self.blocked] if is_concerned else await super().apply([change_set])
        return outcomes


def task_change(number: int) -> ChangeSet:
    """A change set of another collection; only what it touches matters."""
    return ChangeSet((Put("tasks", {"id": numbered_id(number), "version": 1}, 0),))


def test_one_change_set_at_a_time_tries_a_blocked_table() -> None:
    async def check() -> None:
        blockages = Blockages()
        first, second = change_set_of(creation(1)), change_set_of(creation(2))
        blockages.learn([first], [LOCKED])
        assert blockages.blocking(second) == LOCKED
        assert blockages.blocking(task_change(3)) is None
        for pause in (*PAUSES_SECONDS, PAUSES_SECONDS[-1]):
            await asyncio.sleep(pause)
            assert [blockages.blocking(one) for one in (first, second)] == [None, LOCKED]
            blockages.learn([first], [LOCKED])
        await asyncio.sleep(PAUSES_SECONDS[-1])
        assert blockages.blocking(second) is None
        blockages.learn([second], [None])
        assert (blockages.tables(), blockages.freed) == ([], {LABEL})
        assert blockages.blocking(first) is None

    simulate(check())


def test_a_rejected_canary_lets_the_next_one_try_at_once() -> None:
    async def check() -> None:
        blockages = Blockages()
        first, second = change_set_of(creation(1)), change_set_of(creation(2))
        blockages.learn([first], [LOCKED])
        await asyncio.sleep(PAUSES_SECONDS[0])
        assert blockages.blocking(first) is None
        blockages.learn([first], [Rejection("It does not fit.")])
        assert blockages.blocking(second) is None

    simulate(check())


def test_a_blocked_table_of_entries_blocks_everything() -> None:
    async def check() -> None:
        blockages = Blockages()
        blockages.learn([change_set_of(creation(1))], [ENTRIES])
        assert blockages.blocking(change_set_of(creation(2))) == ENTRIES

    simulate(check())


def test_later_versions_of_a_record_wait_behind_its_blocked_change_set() -> None:
    async def check() -> None:
        blockages = Blockages()
        together = ChangeSet((*change_set_of(creation(1)).puts, *task_change(7).puts))
        blockages.learn([together], [LOCKED])
        assert blockages.blocking(task_change(7)) == LOCKED
        assert blockages.blocking(task_change(8)) is None

    simulate(check())


@pytest.mark.parametrize("blocked", [LOCKED, ENTRIES], ids=["a table", "the table of entries"])
@pytest.mark.parametrize("locked_seconds", [1.0, 33.0, 500.0])
def test_what_waits_for_a_table_arrives_by_itself_soon_after_it_is_free(
    blocked: Blocked, locked_seconds: float
) -> None:
    async def check() -> None:
        target = ObstructedStore()
        stores = Stores(target=target)
        process, running = await relaying(stores)
        target.blocked = blocked
        for number in range(1, 40):
            await process.create(number)
        await asyncio.sleep(locked_seconds)
        waiting = await entries_of(stores, *range(1, 40))
        assert {(entry["syncStatus"], entry["syncAttempts"]) for entry in waiting} == {("FAILED", 0)}
        assert {entry["syncError"] for entry in waiting} == {f"{blocked.place} is blocked: It is locked."}
        assert not process.target.breaker.is_open
        assert target.tried <= 3 + len(PAUSES_SECONDS) + locked_seconds
        target.blocked = None
        await asyncio.sleep(RECOVER_SECONDS_MAX)
        assert Counter(await statuses(stores)) == {"SYNCED": 39}
        assert process.target.blockages.tables() == []
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


@pytest.mark.parametrize("status", [SyncStatus.PARKED, SyncStatus.FAILED])
@pytest.mark.parametrize("blocked", [LOCKED, ENTRIES], ids=["a table", "the table of entries"])
def test_a_blocked_table_is_remembered_behind_many_older_rejections(
    blocked: Blocked, status: SyncStatus
) -> None:
    async def check() -> None:
        target = ObstructedStore()
        stores = Stores(target=target)
        few = replace(QUICK, relay_page_max=20)
        rejected = [change_set_of(creation(number)) for number in range(101, 150)]
        await left_pending(stores, *rejected)
        await stores.source.mark([_rejected(one, status) for one in rejected])
        process, running = await relaying(stores, settings=few)
        target.blocked = blocked
        await process.create(1)
        for _ in range(20):
            await asyncio.sleep(1.0)
            assert [one.blocked for one in process.target.blockages.tables()] == [blocked]
        assert target.tried <= 3 + len(PAUSES_SECONDS) + 20 / PAUSES_SECONDS[-1]
        target.blocked = None
        await asyncio.sleep(RECOVER_SECONDS_MAX)
        assert [entry["syncStatus"] for entry in await entries_of(stores, 1)] == ["SYNCED"]
        await stopped(process, running)

    simulate(check())


def _rejected(change_set: ChangeSet, status: SyncStatus) -> DeliveryMark:
    (entry_id,) = change_set.entry_ids
    # Due again only after the test.
    due = NOON + timedelta(seconds=QUICK.retry_delay_seconds_max)
    return DeliveryMark(
        entry_id=entry_id, status=status, at=NOON, attempts=1, next_at=due, error="It does not fit."
    )


@pytest.mark.parametrize("blocked", [LOCKED, ENTRIES], ids=["a table", "the table of entries"])
def test_an_entry_without_a_mark_finds_out_whether_a_table_is_still_blocked(blocked: Blocked) -> None:
    async def check() -> None:
        stores = Stores()
        unmarked = change_set_of(creation(1))
        assert unmarked.entries[0]["syncStatus"] is None
        await stores.source.commit(unmarked)
        canary = await Backlog(stores.source, settings=QUICK).first_waiting(blocked.collection)
        assert [entry["id"] for entry in canary] == list(unmarked.entry_ids)

    simulate(check())


def test_a_locked_row_holds_up_only_its_record_and_counts_no_attempt() -> None:
    async def check() -> None:
        target = ObstructedStore()
        stores = Stores(target=target)
        process, running = await relaying(stores)
        await process.create(1, 2)
        target.blocked = Blocked(LABEL, "postgres_labels", "Its row is locked.", "55P03", numbered_id(1))
        await process.edit(1, name="Edited")
        await process.edit(2, name="Other")
        await asyncio.sleep(100)
        assert [entry["syncStatus"] for entry in await entries_of(stores, 2)] == ["SYNCED"] * 2
        waiting = (await entries_of(stores, 1))[-1]
        assert (waiting["syncStatus"], waiting["syncAttempts"]) == ("FAILED", 0)
        target.blocked = None
        await asyncio.sleep(RECOVER_SECONDS_MAX)
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_a_strict_request_that_waits_for_a_table_is_told_at_once_and_sends_nothing() -> None:
    async def check() -> None:
        target = ObstructedStore()
        stores = Stores(target=target)
        process, running = await relaying(stores, settings=STRICT)
        target.blocked = LOCKED
        with pytest.raises(MirrorPending):
            await process.create(1)
        tried, started = target.tried, asyncio.get_running_loop().time()
        for number in range(2, 9):
            with pytest.raises(MirrorPending):
                await process.commit(change_set_of(creation(number)))
        assert target.tried == tried
        assert asyncio.get_running_loop().time() == started
        await stopped(process, running)

    simulate(check())
