"""What a request meets: modes, rejections, order, and what is left in the source."""

import asyncio
from dataclasses import replace

import pytest

from adapters.dual_write.settings import MirrorMode
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import VERSION
from adapters.records.specs import AUDIT_LOGS, CONTROL
from domain.errors import MirrorPending, StoreUnavailable, VersionConflict
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    QUICK,
    Process,
    Stores,
    assert_promises,
    change_set_of,
    creation,
    end,
    erasure,
    recover,
    started,
    statuses,
)
from tests.unit.builders import numbered_id
from tests.unit.faults import Moment, Step, Weather

STRICT = replace(QUICK, mode=MirrorMode.STRICT)
RELAY = replace(QUICK, mode=MirrorMode.RELAY)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_an_acknowledged_write_is_in_both_stores() -> None:
    async def check() -> None:
        stores = Stores()
        process = await started(stores)
        await process.create(1)
        assert numbered_id(1) in await stores.target.fetch(LABEL, (numbered_id(1),))
        assert await statuses(stores) == ["PENDING"]
        await asyncio.sleep(0.1)
        assert await statuses(stores) == ["SYNCED"]
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_the_target_is_asked_only_when_the_source_is_durable() -> None:
    async def check() -> None:
        stores, steps = Stores(), list[tuple[str, str, Moment]]()

        async def note(step: Step) -> None:
            steps.append((step.store, step.operation, step.moment))

        process = Process(stores, source_gate=note, target_gate=note)
        await process.store.open()
        await process.create(1)
        durable = steps.index(("source", "commit", Moment.AFTER))
        assert steps.index(("target", "apply", Moment.BEFORE)) > durable
        await process.store.close()

    simulate(check())


def test_a_write_that_the_source_rejects_never_reaches_the_target() -> None:
    async def check() -> None:
        stores = Stores()
        process = await started(stores)
        await process.create(1)
        with pytest.raises(VersionConflict):
            await process.create(1)
        await process.store.close()
        await assert_promises(stores)
        assert (await stores.target.fetch(LABEL, (numbered_id(1),)))[numbered_id(1)][VERSION] == 1

    simulate(check())


def test_a_source_that_is_down_fails_the_request_and_spares_the_target() -> None:
    async def check() -> None:
        stores, weather, source_weather = Stores(), Weather(), Weather()
        process = await started(stores, weather, source_weather=source_weather)
        source_weather.is_down = True
        with pytest.raises(StoreUnavailable):
            await process.create(1)
        assert "apply" not in weather.calls
        assert await stores.source.scan(LABEL, after=None, limit=1) == []

    simulate(check())


def test_strict_answers_pending_when_the_target_did_not_confirm_and_keeps_the_change() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather, settings=STRICT)
        await process.create(1)
        weather.is_down = True
        with pytest.raises(MirrorPending):
            await process.create(2)
        assert numbered_id(2) in await stores.source.fetch(LABEL, (numbered_id(2),))
        weather.is_down = False
        await process.store.close()
        await recover(stores)
        await assert_promises(stores)

    simulate(check())


def test_strict_answers_pending_when_the_target_rejected() -> None:
    async def check() -> None:
        process = Process(Stores(), settings=STRICT, dislike=lambda _change_set: "too long")
        await process.store.open()
        with pytest.raises(MirrorPending):
            await process.create(1)
        await process.store.close()

    simulate(check())


def test_relay_mode_answers_at_once_and_wakes_the_relay() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather, settings=RELAY)
        running = asyncio.ensure_future(process.relay.run())
        await asyncio.sleep(10)
        weather.latency_seconds = 0.1
        start = now()
        await process.create(1)
        assert now() - start == 0
        await asyncio.sleep(0.2)
        await assert_promises(stores)
        process.relay.stop()
        await running
        await process.store.close()

    simulate(check())


def test_a_paused_mirror_keeps_entries_pending_and_drains_them_when_it_goes_on() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather, settings=replace(QUICK, enabled=False))
        running = asyncio.ensure_future(process.relay.run())
        await process.create(1)
        await process.edit(1, name="later")
        await asyncio.sleep(60)
        assert "apply" not in weather.calls
        assert await statuses(stores) == ["PENDING", "PENDING"]
        process.relay.stop()
        await running
        await process.store.close()
        await recover(stores)
        await assert_promises(stores)

    simulate(check())


def test_control_records_stay_at_home() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather)
        control = {"id": "phase", "version": 1, "value": {"now": "single"}}
        await process.store.commit(ChangeSet((Put(CONTROL.collection, control, 0),)))
        mixed = change_set_of(creation(1))
        second = {**control, "version": 2}
        await process.store.commit(
            ChangeSet((*mixed.puts, Put(CONTROL.collection, second, 1)), mixed.entries)
        )
        assert weather.calls.count("apply") == 1
        assert (await stores.source.fetch(CONTROL.collection, ("phase",)))["phase"] == second
        assert await stores.target.fetch(CONTROL.collection, ("phase",)) == {}
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_a_write_without_an_audit_entry_is_rejected_before_anything_is_stored() -> None:
    async def check() -> None:
        stores = Stores()
        process = await started(stores)
        unaudited = ChangeSet(change_set_of(creation(1)).puts)
        with pytest.raises(ValueError, match="without an audit entry"):
            await process.store.commit(unaudited)
        assert await stores.source.scan(LABEL, after=None, limit=1) == []
        await process.store.close()

    simulate(check())


def test_a_change_set_too_large_for_a_request_goes_by_the_relay() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather, settings=replace(QUICK, direct_records_max=10))
        await process.create(*range(1, 12))
        assert "apply" not in weather.calls
        await process.relay.drain()
        await process.store.close()
        await assert_promises(stores)

    simulate(check())


def test_a_rejected_record_is_marked_failed_with_the_first_attempt() -> None:
    async def check() -> None:
        stores = Stores()
        process = Process(stores, dislike=lambda _change_set: "name: too long for the column")
        await process.store.open()
        await process.create(1)
        await process.store.close()
        (entry,) = await stores.source.scan(AUDIT_LOGS.collection, after=None, limit=2)
        assert (entry["syncStatus"], entry["syncAttempts"]) == ("FAILED", 1)
        assert entry["syncError"] == "name: too long for the column"
        assert entry["syncNextAt"] is not None

    simulate(check())


def test_one_rejected_change_set_does_not_hold_up_the_rest_of_its_batch() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        poison = numbered_id(13)
        process = Process(
            stores,
            target_gate=weather,
            dislike=lambda change_set: "no" if (LABEL, poison) in set(change_set.touched()) else None,
        )
        await process.store.open()
        weather.latency_seconds = 0.01
        await asyncio.gather(*(process.create(number) for number in range(1, 21)))
        await process.store.close()
        assert weather.calls.count("apply") < 20
        assert sorted(await statuses(stores)) == ["FAILED"] + ["SYNCED"] * 19
        assert len(await stores.target.scan(LABEL, after=None, limit=30)) == 19

    simulate(check())


def test_a_removal_for_good_is_mirrored_and_outlives_a_late_update() -> None:
    async def check() -> None:
        stores, weather = Stores(), Weather()
        process = await started(stores, weather)
        await process.create(1)
        weather.failures_left = 1
        await process.edit(1, name="never mirrored in time")
        label = (await stores.source.fetch(LABEL, (numbered_id(1),)))[numbered_id(1)]
        await process.commit(change_set_of(erasure(label)))
        await process.store.close()
        assert (await stores.target.fetch(LABEL, (numbered_id(1),)))[numbered_id(1)]["isErased"] is True
        await recover(stores)
        await assert_promises(stores)
        assert (await stores.target.fetch(LABEL, (numbered_id(1),)))[numbered_id(1)]["isErased"] is True

    simulate(check())


def test_a_thousand_concurrent_edits_of_a_few_records_leave_no_difference() -> None:
    async def check() -> None:
        stores, left_weather, right_weather = Stores(), Weather(), Weather()
        left = await started(stores, left_weather)
        right = await started(stores, right_weather)
        await left.create(1, 2, 3)
        left_weather.latency_seconds, right_weather.latency_seconds = 0.003, 0.007
        rejected = 0

        async def edit(number: int) -> None:
            nonlocal rejected
            process = left if number % 2 else right
            try:
                await process.edit(1 + number % 3, name=f"edit {number}")
            except VersionConflict:
                rejected += 1

        for batch in range(50):
            await asyncio.gather(*(edit(20 * batch + number) for number in range(20)))
        for process in (left, right):
            await process.store.close()
        assert 0 < rejected < 1_000
        await recover(stores)
        await assert_promises(stores)
        assert len(stores.acknowledged) == 3 + 1_000 - rejected
        await end()

    simulate(check())


def test_reads_and_marks_go_to_the_source_alone() -> None:
    async def check() -> None:
        stores, weather, source_weather = Stores(), Weather(), Weather()
        process = await started(stores, weather, source_weather=source_weather)
        asked = len(weather.calls)
        await process.store.fetch(LABEL, ())
        await process.store.scan(LABEL, after=None, limit=1)
        await process.store.settle(())
        await process.store.ping()
        assert process.store.name == "source"
        assert source_weather.calls[-4:] == ["fetch", "scan", "settle", "ping"]
        assert len(weather.calls) == asked
        await process.store.close()

    simulate(check())


def test_records_applied_to_the_pair_are_in_both_stores() -> None:
    async def check() -> None:
        stores = Stores()
        process = await started(stores)
        assert (
            await process.store.apply([change_set_of(creation(1)), change_set_of(creation(2))]) == [None] * 2
        )
        await process.store.close()
        await assert_promises(stores)

    simulate(check())
