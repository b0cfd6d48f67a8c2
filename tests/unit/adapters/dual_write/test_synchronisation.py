"""The mirror as an operator sees it, can do about it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.dual_write.synchronisation import Mirror, StoredSynchronisation
from adapters.records.change_set import Blocked, ChangeSet, DeliveryMark, Put
from application.ports.synchronisation import BlockedTableSync, BreakerState, Discard, RetryOutcome
from domain.audit import Action, SyncStatus
from domain.errors import Conflict, NotFound, StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import LoopClock, simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    QUICK,
    Process,
    Stores,
    assert_promises,
    entries_of,
    statuses,
    too_long,
)
from tests.unit.builders import numbered_id
from tests.unit.faults import Dislike, Weather, likes_everything

FIRST, SECOND, THIRD = numbered_id(1), numbered_id(2), numbered_id(3)


class Office:
    """A process with an operator at it."""

    def __init__(self, *, dislike: Dislike = likes_everything, paused: bool = False) -> None:
        self.stores = Stores()
        self.weather = Weather()
        settings = replace(QUICK, enabled=not paused)
        self.process = Process(self.stores, settings=settings, target_gate=self.weather, dislike=dislike)
        mirror = Mirror(
            self.process.target, self.process.relay, self.process.store.latencies, self.process.commit
        )
        self.sync = StoredSynchronisation(self.process.store, mirror, settings=settings, clock=LoopClock())

    async def open(self) -> None:
        await self.process.store.open()

    async def park(self, number: int) -> None:
        """Leaves the label parked."""
        await self.process.create(number, name=f"far longer than twenty characters {number}")
        for _ in range(QUICK.retry_attempts):
            await asyncio.sleep(100)
            await self.process.relay.drain()


def test_metrics_count_entries_by_state_and_collection() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.process.create(1)
        await office.park(2)
        await office.process.create(3, name="another one that is far too long")
        office.weather.is_down = True
        await office.process.create(4)
        await asyncio.sleep(2)
        metrics = await office.sync.metrics()
        assert (metrics.source, metrics.target, metrics.mode) == ("source", "target", "mirror")
        assert (metrics.paused, metrics.target_reachable) == (False, False)
        labels = next(sync for sync in metrics.collections if sync.collection == LABEL)
        assert (labels.synced, labels.pending, labels.failed, labels.parked) == (1, 1, 1, 1)
        assert labels.oldest_pending_age_ms is not None
        assert labels.mirror_latency_p50_ms is not None
        others = [sync for sync in metrics.collections if sync.collection != LABEL]
        assert {(sync.synced, sync.oldest_pending_age_ms, sync.mirror_latency_p99_ms) for sync in others} == {
            (0, None, None)
        }
        await office.process.store.close()

    simulate(check())


def test_metrics_show_why_and_since_when_the_breaker_is_open() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        closed = (await office.sync.metrics()).breaker
        assert (closed.state, closed.reason, closed.since) == (BreakerState.CLOSED, None, None)
        running = asyncio.ensure_future(office.process.relay.run())
        down_at = LoopClock().now()
        office.weather.is_down = True
        await asyncio.sleep(2)
        breaker = (await office.sync.metrics()).breaker
        assert breaker.state is BreakerState.OPEN
        assert breaker.since is not None
        assert down_at <= breaker.since <= down_at + timedelta(milliseconds=QUICK.relay_interval_ms)
        assert breaker.reason == StoreUnavailable().message
        assert breaker.retry_at is not None
        assert breaker.retry_at > LoopClock().now()
        office.process.relay.stop()
        await running
        await office.process.store.close()

    simulate(check())


def test_metrics_show_blocked_tables_with_their_cause_and_the_number_of_waiting_entries() -> None:
    async def check() -> None:
        office = Office(paused=True)
        await office.open()
        await office.process.create(1, 2)
        blocked_at = LoopClock().now()
        labels = Blocked(LABEL, "postgres_labels", "It is locked.", "55P03")
        entries = Blocked("audit_logs", "postgres_audit_logs", "Permission denied.", "42501")
        office.process.target.blockages.note(labels)
        office.process.target.blockages.note(entries)
        await asyncio.sleep(2)
        metrics = await office.sync.metrics()
        assert metrics.blocked_tables == [
            BlockedTableSync(table="postgres_labels", cause="It is locked.", since=blocked_at, waiting=2),
            BlockedTableSync(
                table="postgres_audit_logs", cause="Permission denied.", since=blocked_at, waiting=2
            ),
        ]
        await office.process.store.close()

    simulate(check())


def test_metrics_say_how_far_the_mirror_is_behind_and_how_long_it_takes_to_catch_up() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        office.weather.is_down = True
        await office.process.create(1, 2, 3, 4)
        metrics = await office.sync.metrics()
        assert (metrics.rate_per_second, metrics.eta_seconds) == (0, None)
        office.process.target.rate.note(20)
        await asyncio.sleep(7)
        metrics = await office.sync.metrics()
        # Nothing arrives while the target is down, however fast the relay was before.
        assert (metrics.rate_per_second, metrics.eta_seconds) == (3, None)
        assert metrics.lag_ms > 0
        office.weather.is_down = False
        office.process.target.breaker.close()
        await asyncio.sleep(2)
        metrics = await office.sync.metrics()
        assert (metrics.rate_per_second, metrics.eta_seconds) == (2, 2)
        await office.process.relay.drain()
        await asyncio.sleep(2)
        metrics = await office.sync.metrics()
        assert (metrics.lag_ms, metrics.eta_seconds) == (0, None)
        await office.process.store.close()

    simulate(check())


def test_metrics_say_that_the_mirror_is_paused() -> None:
    async def check() -> None:
        office = Office(paused=True)
        await office.open()
        metrics = await office.sync.metrics()
        assert (metrics.paused, metrics.target_reachable) == (True, True)
        await office.process.store.close()

    simulate(check())


def test_a_single_store_is_in_sync_with_itself() -> None:
    async def check() -> None:
        office = Office(paused=True)
        await office.process.create(1)
        alone = StoredSynchronisation(office.stores.source, None, settings=QUICK, clock=LoopClock())
        metrics = await alone.metrics()
        assert (metrics.target, metrics.mode, metrics.target_reachable) == (None, "single", False)
        for refused in (alone.retry_all(), alone.retry(LABEL, FIRST), alone.discard(LABEL, FIRST, DISCARD)):
            with pytest.raises(Conflict, match="There is no mirror: source is the only store"):
                await refused
        with pytest.raises(NotFound):
            await alone.retry(LABEL, SECOND)
        (version,) = (await alone.history(LABEL, FIRST)).versions
        assert (version.in_source, version.in_target) == (True, False)

    simulate(check())


def test_status_gives_both_versions_and_the_reason() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.process.create(1)
        await asyncio.sleep(1)
        synced = await office.sync.status(LABEL, FIRST)
        assert (synced.status, synced.source_version, synced.target_version) == (SyncStatus.SYNCED, 1, 1)
        await office.process.edit(1, name="far longer than twenty characters")
        await asyncio.sleep(1)
        failed = await office.sync.status(LABEL, FIRST)
        assert (failed.status, failed.source_version, failed.target_version) == (SyncStatus.FAILED, 2, 1)
        assert (failed.attempts, failed.last_error) == (1, "name: longer than 20 characters")
        assert failed.next_attempt_at is not None
        await office.process.store.close()

    simulate(check())


def test_status_answers_from_the_source_while_the_target_is_down() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        office.weather.is_down = True
        await office.process.create(1)
        answer = await office.sync.status(LABEL, FIRST)
        assert (answer.status, answer.source_version, answer.target_version) == (SyncStatus.PENDING, 1, None)
        assert answer.last_error is not None
        assert not answer.is_target_read
        await office.process.store.close()

    simulate(check())


def test_nothing_is_said_about_a_target_that_was_not_read() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        await office.process.create(1)
        await asyncio.sleep(1)
        office.weather.is_down = True
        cause = StoreUnavailable().message
        answer = await office.sync.status(LABEL, FIRST)
        assert (answer.source_version, answer.target_version, answer.is_target_read) == (1, None, False)
        assert answer.last_error == cause
        history = await office.sync.history(LABEL, FIRST)
        assert [(one.in_source, one.in_target) for one in history.versions] == [(True, None)]
        assert history.target_trouble == cause
        with pytest.raises(StoreUnavailable, match=cause):
            await office.sync.discard(LABEL, FIRST, DISCARD)
        office.weather.is_down = False
        assert (await office.sync.history(LABEL, FIRST)).target_trouble is None
        await office.process.store.close()

    simulate(check())


def test_the_cause_for_which_the_target_is_not_called_is_shown_where_it_only_does_not_answer() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        await office.process.create(1)
        await asyncio.sleep(1)
        office.process.target.breaker.trip("The password is wrong.")
        office.weather.freeze()
        with pytest.raises(StoreUnavailable, match=r"The password is wrong\."):
            await office.process.target.require_answer()
        assert (await office.sync.status(LABEL, FIRST)).last_error == "The password is wrong."
        office.weather.thaw()
        await office.process.store.close()

    simulate(check())


def test_a_record_the_target_lost_is_not_called_synced() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        await office.process.create(1)
        await asyncio.sleep(1)
        office.stores.target.forget(LABEL, FIRST)
        assert (await office.sync.status(LABEL, FIRST)).status is SyncStatus.FAILED
        await office.process.store.close()

    simulate(check())


@pytest.mark.parametrize("collection", [LABEL, "audit_logs", "control", "nothing"])
def test_status_of_an_absent_record_is_not_found(collection: str) -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        with pytest.raises(NotFound):
            await office.sync.status(collection, FIRST)
        with pytest.raises(NotFound):
            await office.sync.retry(collection, FIRST)
        with pytest.raises(NotFound):
            await office.sync.history(collection, FIRST)
        await office.process.store.close()

    simulate(check())


def test_failures_come_oldest_first_and_in_pages() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        for number in range(1, 6):
            await office.process.create(number, name=f"far longer than twenty characters {number}")
        await office.process.create(6)
        await asyncio.sleep(1)
        first = await office.sync.failures(limit=3)
        second = await office.sync.failures(limit=3, after=first[-1].id)
        assert [entry.entity_id for entry in (*first, *second)] == [numbered_id(n) for n in range(1, 6)]
        assert {entry.sync_error for entry in first} == {"name: longer than 20 characters"}
        await office.process.store.close()

    simulate(check())


def test_one_parked_record_is_retried_alone() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.park(1)
        await office.park(2)
        office.process.target_store.dislike = likes_everything
        answer = await office.sync.retry(LABEL, FIRST)
        assert (answer.outcome, answer.detail) == (RetryOutcome.DELIVERED, None)
        assert (answer.record.status, answer.record.target_version) == (SyncStatus.SYNCED, 1)
        assert (await office.sync.status(LABEL, SECOND)).status is SyncStatus.PARKED
        await office.process.store.close()

    simulate(check())


def test_a_retry_includes_records_of_the_same_change_set() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.process.create(1)
        await office.process.create(2)
        office.process.target_store.dislike = lambda change_set: "closed"
        await office.process.edit(1, 2, color="#000000")
        await asyncio.sleep(1)
        office.process.target_store.dislike = likes_everything
        assert (await office.sync.retry(LABEL, FIRST)).record.status is SyncStatus.SYNCED
        assert (await office.sync.status(LABEL, SECOND)).target_version == 2
        await office.process.store.close()
        await assert_promises(office.stores)

    simulate(check())


def test_a_retry_that_is_rejected_again_stays_parked_with_one_attempt_more() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.park(1)
        answer = await office.sync.retry(LABEL, FIRST)
        assert (answer.outcome, answer.detail) == (RetryOutcome.REJECTED, "name: longer than 20 characters")
        assert (answer.record.status, answer.record.attempts) == (SyncStatus.PARKED, QUICK.retry_attempts + 1)
        await office.process.store.close()

    simulate(check())


DISCARD = Discard(reason="a test", actor_id=THIRD, request_id="request-7", entry_id="f" * 24)


def test_a_discarded_version_gives_way_to_the_content_of_the_target() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.process.create(1)
        await office.process.edit(1, name="far longer than twenty characters")
        for _ in range(QUICK.retry_attempts):
            await asyncio.sleep(100)
            await office.process.relay.drain()
        assert (await office.sync.status(LABEL, FIRST)).status is SyncStatus.PARKED
        answer = await office.sync.discard(LABEL, FIRST, DISCARD)
        assert (answer.status, answer.source_version, answer.target_version) == (SyncStatus.SYNCED, 3, 3)
        for store in (office.stores.source, office.stores.target):
            assert (await store.fetch(LABEL, [FIRST]))[FIRST]["name"] == "Label 1"
        newest, refused, _ = (await office.sync.history(LABEL, FIRST)).versions
        assert (newest.entry.action, newest.entry.actor_id) == (Action.ABANDONED, THIRD)
        assert newest.entry.changes["abandoned"] == {"before": 2, "after": "a test"}
        assert newest.entry.changes["name"]["after"] == "Label 1"
        assert (refused.entry.version, refused.in_target) == (2, True)
        assert await office.sync.failures(limit=10) == []
        await office.process.store.close()
        await assert_promises(office.stores)

    simulate(check())


def test_a_discarded_record_that_the_target_never_held_is_a_known_difference_until_it_changes() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.park(1)
        answer = await office.sync.discard(LABEL, FIRST, DISCARD)
        assert (answer.status, answer.source_version, answer.target_version) == (SyncStatus.PARKED, 2, None)
        assert answer.last_error == (
            "A known difference: it is absent in the target (a test). Its next version is mirrored again."
        )
        kept = (await office.stores.source.fetch(LABEL, [FIRST]))[FIRST]
        assert kept["name"] == "far longer than twenty characters 1"
        assert await office.stores.target.fetch(LABEL, [FIRST]) == {}
        newest, rejected = (await office.sync.history(LABEL, FIRST)).versions
        assert (newest.entry.action, newest.in_target, rejected.in_target) == (Action.ABANDONED, True, True)
        assert newest.entry.changes == {"absentInTarget": {"before": 1, "after": "a test"}}
        await asyncio.sleep(2)
        assert (await office.sync.metrics()).totals.parked == 0
        assert await office.sync.failures(limit=10) == []
        with pytest.raises(Conflict, match="A known difference"):
            await office.sync.discard(LABEL, FIRST, DISCARD)
        retried = await office.sync.retry(LABEL, FIRST)
        assert (retried.outcome, retried.detail) == (RetryOutcome.REJECTED, answer.last_error)
        await office.process.edit(1, name="Short")
        await asyncio.sleep(1)
        mirrored = await office.sync.status(LABEL, FIRST)
        assert (mirrored.status, mirrored.target_version) == (SyncStatus.SYNCED, 3)
        await office.process.store.close()
        await assert_promises(office.stores)

    simulate(check())


def test_a_later_version_of_an_absent_record_is_rejected_and_parked_as_any_other() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.park(1)
        await office.sync.discard(LABEL, FIRST, DISCARD)
        await office.process.edit(1, name="once more far too long a name")
        for _ in range(QUICK.retry_attempts):
            await asyncio.sleep(100)
            await office.process.relay.drain()
        parked = await office.sync.status(LABEL, FIRST)
        assert (parked.status, parked.last_error) == (SyncStatus.PARKED, "name: longer than 20 characters")
        assert (await office.sync.metrics()).totals.parked == 1
        await office.process.store.close()

    simulate(check())


def test_the_entries_of_an_absent_record_arrive_again_in_a_copy_that_lost_them() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.park(1)
        await office.sync.discard(LABEL, FIRST, DISCARD)
        await asyncio.sleep(1)
        entries = await entries_of(office.stores, 1)
        await office.stores.source.mark(
            [
                DeliveryMark(
                    entry_id=each["id"], status=SyncStatus.PENDING, at=LoopClock().now(), reopens=True
                )
                for each in entries
            ]
        )
        await office.process.relay.drain()
        assert await statuses(office.stores) == ["SYNCED", "SYNCED"]
        await office.process.store.close()

    simulate(check())


def test_what_the_target_does_not_reject_cannot_be_discarded() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        await office.process.create(2)
        await asyncio.sleep(1)
        with pytest.raises(Conflict, match="nothing to discard"):
            await office.sync.discard(LABEL, SECOND, DISCARD)
        await office.process.store.close()

    simulate(check())


def test_a_version_ahead_of_the_source_is_shown_never_synced_and_settled_by_a_discard() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        await office.process.create(1)
        await asyncio.sleep(1)
        raised = {**(await office.stores.target.fetch(LABEL, [FIRST]))[FIRST], "version": 1000}
        await office.stores.target.apply([ChangeSet((Put(LABEL, raised, 999),))])
        await office.process.edit(1, name="Edited")
        await asyncio.sleep(1)
        failed = await office.sync.status(LABEL, FIRST)
        assert (failed.status, failed.source_version, failed.target_version) == (SyncStatus.FAILED, 2, 1000)
        assert failed.last_error == "The target holds version 1000, the source version 2."
        retried = await office.sync.retry(LABEL, FIRST)
        assert (retried.outcome, retried.detail) == (RetryOutcome.REJECTED, failed.last_error)
        answer = await office.sync.discard(LABEL, FIRST, DISCARD)
        assert (answer.status, answer.source_version, answer.target_version) == (
            SyncStatus.SYNCED,
            1001,
            1001,
        )
        await office.process.store.close()

    simulate(check())


def test_a_record_that_the_target_has_lost_is_written_again_by_a_retry() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        await office.process.create(1)
        await asyncio.sleep(1)
        office.stores.target.forget(LABEL, FIRST)
        lost = await office.sync.status(LABEL, FIRST)
        assert (lost.status, lost.target_version) == (SyncStatus.FAILED, None)
        assert lost.last_error is not None
        assert lost.last_error.endswith(f"To deliver it again, type: tandem sync retry {LABEL} {FIRST}")
        retried = await office.sync.retry(LABEL, FIRST)
        assert (retried.outcome, retried.record.target_version) == (RetryOutcome.DELIVERED, 1)
        await office.process.store.close()
        await assert_promises(office.stores)

    simulate(check())


def test_a_retry_while_the_target_is_down_says_so_and_changes_nothing() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.park(1)
        before = await office.sync.status(LABEL, FIRST)
        office.weather.is_down = True
        with pytest.raises(StoreUnavailable):
            await office.sync.retry(LABEL, FIRST)
        office.weather.is_down = False
        assert await office.sync.status(LABEL, FIRST) == before
        await office.process.store.close()

    simulate(check())


def test_all_failures_are_put_back_in_the_queue_and_mirrored() -> None:
    async def check() -> None:
        office = Office(dislike=too_long)
        await office.open()
        await office.park(1)
        await office.process.create(2, name="another one that is far too long")
        await asyncio.sleep(1)
        office.process.target_store.dislike = likes_everything
        assert await office.sync.retry_all() == 2
        assert await statuses(office.stores) == ["PENDING", "PENDING"]
        running = asyncio.ensure_future(office.process.relay.run())
        await asyncio.sleep(0.5)
        assert await statuses(office.stores) == ["SYNCED", "SYNCED"]
        office.process.relay.stop()
        await running
        assert await office.sync.retry_all() == 0
        await office.process.store.close()
        await assert_promises(office.stores)

    simulate(check())


def test_the_history_lists_each_version_newest_first_and_the_stores_that_hold_it() -> None:
    async def check() -> None:
        office = Office()
        await office.open()
        await office.process.create(1)
        office.weather.failures_left = 1
        await office.process.edit(1, name="late")
        answer = await office.sync.history(LABEL, FIRST)
        assert [
            (version.entry.version, version.in_source, version.in_target) for version in answer.versions
        ] == [
            (2, True, False),
            (1, True, True),
        ]
        await asyncio.sleep(1)
        office.weather.is_down = True
        history = await office.sync.history(LABEL, FIRST)
        assert [version.in_target for version in history.versions] == [None, None]
        office.weather.is_down = False
        await office.process.store.close()

    simulate(check())
