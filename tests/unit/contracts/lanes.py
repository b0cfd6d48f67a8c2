"""What every store promises about lanes. A test module supplies the fixture `store`, as for the record store."""

import asyncio
from dataclasses import replace

import pytest

from adapters.records.change_set import ChangeSet, DeliveryMark, LaneStamp, Put, stamped
from adapters.records.criteria import Equals, IsNull, Order, Question
from adapters.records.lanes import OWNERSHIP_ID, Admission, Lane, LanedStore, LaneLost, ProcessIdentity, Seen
from adapters.records.record import ID, VERSION
from adapters.records.specs import AUDIT_LOGS, CONTROL
from domain.audit import SyncStatus
from domain.errors import VersionConflict
from tests.unit.builders import NOON
from tests.unit.contracts.builders import change_set, entry, put, task

HERE = ProcessIdentity("a1b2", "here", "boot-1", 4711)
ELSEWHERE = replace(HERE, process="c3d4", host="elsewhere")
TOKEN = 7
FOREIGN = 123_456_789_012_345
"""A lane of another store."""


async def admitted(store: LanedStore, by: ProcessIdentity = HERE) -> LanedStore:
    """The store with a control record, and this process admitted to it."""
    control = {ID: OWNERSHIP_ID, VERSION: TOKEN, "value": {}}
    if OWNERSHIP_ID not in await store.fetch(CONTROL.collection, [OWNERSHIP_ID]):
        await store.commit(ChangeSet((Put(CONTROL.collection, control, 0),)))
    store.admit(Admission(TOKEN, 1, "opening", by))
    return store


def created(number: int) -> ChangeSet:
    change = put("tasks", task(number))
    return change_set(change, entries=[entry(change, syncStatus="PENDING")])


async def stored_entry(store: LanedStore, change: ChangeSet) -> dict[str, object]:
    (entry_id,) = change.entry_ids
    return (await store.fetch(AUDIT_LOGS.collection, [entry_id]))[entry_id]


def mark_of(change: ChangeSet, *, number: int | None, **fields: object) -> DeliveryMark:
    (entry_id,) = change.entry_ids
    facts = {"status": SyncStatus.SYNCED, "at": NOON, "lane": FOREIGN, "number": number, **fields}
    return DeliveryMark(entry_id=entry_id, **facts)  # type: ignore[arg-type]


class LaneContract:
    """Lanes are fences: the store itself refuses a write of a lane that it does not hold at that number."""

    async def test_without_an_admission_writes_have_no_lane(self, store: LanedStore) -> None:
        change = created(1)
        assert await store.commit(change) is None
        assert (await stored_entry(store, change))["lane"] is None
        assert not (await store.positions()).lanes

    async def test_a_commit_advances_its_lane_and_its_entries_carry_the_stamp(
        self, store: LanedStore
    ) -> None:
        await admitted(store)
        changes = [created(number) for number in range(3)]
        stamps = [await store.commit(change) for change in changes]
        for change, stamp in zip(changes, stamps, strict=True):
            assert stamp is not None
            stored = await stored_entry(store, change)
            assert (stored["lane"], stored["laneNumber"]) == (stamp.lane, stamp.number)
        (lane,) = (await store.positions()).lanes.values()
        assert (lane.lane, lane.number, lane.is_open) == (stamps[-1].lane, stamps[-1].number, True)  # type: ignore[union-attr]
        assert (lane.by, lane.epoch, lane.opening) == (HERE, 1, "opening")
        assert abs(lane.silent_seconds) < 60

    async def test_every_commit_at_once_has_a_stamp_of_its_own(self, store: LanedStore) -> None:
        await admitted(store)
        stamps = await asyncio.gather(*(store.commit(created(number)) for number in range(12)))
        assert len(set(stamps)) == len(stamps)
        positions = await store.positions()
        for stamp in stamps:
            assert stamp is not None
            assert positions.number_of(stamp.lane) >= stamp.number

    async def test_a_rejected_commit_leaves_the_lane_usable(self, store: LanedStore) -> None:
        await admitted(store)
        await store.commit(created(1))
        with pytest.raises(VersionConflict):
            await store.commit(created(1))
        again = put("tasks", task(2))
        await store.commit(change_set(again, put("tasks", task(3)), entries=[entry(again)]))
        with pytest.raises(VersionConflict):
            await store.commit(change_set(put("tasks", task(4)), again))
        await store.commit(created(5))
        assert len((await store.positions()).lanes) == 1

    async def test_nothing_is_written_by_a_closed_lane(self, store: LanedStore) -> None:
        await admitted(store)
        await store.commit(created(1))
        (lane,) = (await store.positions()).lanes.values()
        assert await store.close_lane(lane.lane) == lane.number
        several = put("tasks", task(2)), put("tasks", task(3))
        for change in (created(2), change_set(*several, entries=[entry(several[0])])):
            with pytest.raises(LaneLost):
                await store.commit(change)
        assert set(await store.fetch("tasks", [put_.record_id for put_ in several])) == set()
        closed = (await store.positions()).lanes[lane.lane]
        assert (closed.number, closed.is_open) == (lane.number, False)

    async def test_a_process_that_lost_a_lane_writes_again_when_admitted_again(
        self, store: LanedStore
    ) -> None:
        await admitted(store)
        await store.commit(created(1))
        (lane,) = (await store.positions()).lanes
        await store.close_lane(lane)
        with pytest.raises(LaneLost):
            await store.commit(created(2))
        with pytest.raises(LaneLost):
            await store.commit(created(2))
        await admitted(store)
        stamp = await store.commit(created(2))
        assert stamp is not None
        assert stamp.lane != lane

    async def test_nothing_is_mirrored_by_a_closed_lane(self, store: LanedStore) -> None:
        await admitted(store)
        await store.apply([created(1)])
        (lane,) = (await store.positions()).lanes
        await store.close_lane(lane)
        for batch in ([created(2)], [created(2), created(3)]):
            with pytest.raises(LaneLost):
                await store.apply(batch)
            await admitted(store)
            await store.register()
            for open_lane in [one for one in (await store.positions()).lanes.values() if one.is_open]:
                await store.close_lane(open_lane.lane)
        ids = [change.puts[0].record_id for change in (created(2), created(3))]
        assert await store.fetch("tasks", ids) == {}

    async def test_no_lane_is_registered_after_the_control_record_has_changed(
        self, store: LanedStore
    ) -> None:
        await admitted(store)
        changed = {ID: OWNERSHIP_ID, VERSION: TOKEN + 1, "value": {"gate": "closed"}}
        await store.commit(ChangeSet((Put(CONTROL.collection, changed, TOKEN),)))
        store.admit(Admission(TOKEN, 1, "opening", ELSEWHERE))
        with pytest.raises(LaneLost):
            await store.register()
        with pytest.raises(LaneLost):
            await store.commit(created(1))
        assert {lane.by for lane in (await store.positions()).lanes.values()} == {HERE}

    async def test_registering_shows_the_process_before_its_first_write(self, store: LanedStore) -> None:
        await admitted(store)
        await store.register()
        await store.register()
        (lane,) = (await store.positions()).lanes.values()
        assert (lane.number, lane.by) == (0, HERE)

    async def test_a_lane_that_was_never_used_leaves_no_row(self, store: LanedStore) -> None:
        await admitted(store)
        await store.register()
        (lane,) = (await store.positions()).lanes
        assert await store.close_lane(lane) == 0
        assert not (await store.positions()).lanes
        with pytest.raises(LaneLost):
            await store.commit(created(1))

    async def test_lanes_of_an_earlier_admission_are_closed(self, store: LanedStore) -> None:
        await admitted(store)
        await asyncio.gather(*(store.commit(created(number)) for number in range(8)))
        for number in range(8, 11):
            await admitted(store)
            await store.register()
            await store.commit(created(number))
            await admitted(store)
            await store.register()
        (left,) = await _open_lanes(store, count=1)
        used = [lane.number for lane in (await store.positions()).lanes.values() if lane.lane != left.lane]
        assert left.number == 0
        assert sum(used) == 11
        assert all(used)

    async def test_cancelled_writes_leave_no_open_lane_behind(self, store: LanedStore) -> None:
        await admitted(store)
        for steps in range(24):
            write = asyncio.create_task(store.commit(created(steps)))
            for _ in range(steps):
                await asyncio.sleep(0)
            write.cancel()
            await asyncio.gather(write, return_exceptions=True)
        await store.commit(created(30))
        await admitted(store)
        await store.register()
        (left,) = await _open_lanes(store, count=1)
        assert left.number == 0

    async def test_a_beat_is_noted_on_the_open_lanes_of_this_process_only(self, store: LanedStore) -> None:
        await admitted(store, by=ELSEWHERE)
        await store.commit(created(1))
        await admitted(store)
        await store.register()
        await asyncio.sleep(0.3)
        await store.beat()
        silent = {lane.by: lane.silent_seconds for lane in (await store.positions()).lanes.values()}
        assert silent[ELSEWHERE] - silent[HERE] > 0.2

    async def test_an_unknown_lane_has_the_number_0(self, store: LanedStore) -> None:
        assert await store.close_lane(FOREIGN) == 0
        assert (await store.positions()).number_of(FOREIGN) == 0


class CheckpointContract:
    """Checkpointed lanes stay, and are left out of what is read in every comparison."""

    async def test_checkpointed_lanes_are_read_only_when_asked_for(self, store: LanedStore) -> None:
        lane = await _closed_lane(store)
        assert await store.add_checkpoint({lane: 1}, checkpoint=FOREIGN)
        listed = (await store.positions()).lanes
        assert {one.lane: (one.number, one.is_open) for one in listed.values()} == {FOREIGN: (1, False)}
        every = (await store.positions(with_checkpointed=True)).lanes
        assert {one.lane: (one.number, one.is_checkpointed) for one in every.values()} == {
            FOREIGN: (1, False),
            lane: (1, True),
        }
        assert await store.close_lane(lane) == 1

    async def test_nothing_is_checkpointed_where_one_lane_is_open_or_at_another_number(
        self, store: LanedStore
    ) -> None:
        lane = await _closed_lane(store)
        await admitted(store)
        stamp = await store.commit(created(2))
        assert stamp is not None
        for numbers in ({lane: 1, stamp.lane: 1}, {lane: 2}, {lane: 1, FOREIGN + 1: 1}):
            assert not await store.add_checkpoint(numbers, checkpoint=FOREIGN)
        assert set((await store.positions()).lanes) == {lane, stamp.lane}

    async def test_what_was_seen_is_checkpointed_up_to_the_number_of_its_lane(
        self, store: LanedStore
    ) -> None:
        await admitted(store)
        await store.apply_by_lane([_by_lane(created(n), FOREIGN + n, 5) for n in range(3)])
        await store.see_checkpoint({FOREIGN: 5, FOREIGN + 1: 7, FOREIGN + 2: 4}, checkpoint=FOREIGN + 9)
        assert (await store.positions()).seen == {FOREIGN + 2: Seen(5), FOREIGN + 9: Seen(1)}
        every = (await store.positions(with_checkpointed=True)).seen
        assert (every[FOREIGN], every[FOREIGN + 1]) == (
            Seen(5, is_checkpointed=True),
            Seen(5, is_checkpointed=True),
        )

    async def test_a_later_arrival_or_mark_brings_what_was_seen_back_into_comparisons(
        self, store: LanedStore
    ) -> None:
        change = created(1)
        await store.commit(change)
        await store.mark([mark_of(change, number=8)])
        await admitted(store)
        await store.apply_by_lane([_by_lane(created(2), FOREIGN + 1, 3)])
        await store.see_checkpoint({FOREIGN: 8, FOREIGN + 1: 3}, checkpoint=FOREIGN + 9)
        assert set((await store.positions()).seen) == {FOREIGN + 9}
        late = created(3)
        await store.commit(late)
        await store.mark([mark_of(late, number=9)])
        await store.apply_by_lane([_by_lane(created(4), FOREIGN + 1, 4)])
        await store.apply_by_lane([_by_lane(created(n), FOREIGN + 1, 4) for n in (5, 6)])
        seen = (await store.positions()).seen
        assert seen == {FOREIGN: Seen(9), FOREIGN + 1: Seen(4), FOREIGN + 9: Seen(1)}

    async def test_a_checkpoint_needs_no_closed_lane(self, store: LanedStore) -> None:
        assert await store.add_checkpoint({}, checkpoint=FOREIGN)
        await store.see_checkpoint({}, checkpoint=FOREIGN + 1)
        positions = await store.positions()
        assert (positions.number_of(FOREIGN), positions.seen) == (1, {FOREIGN + 1: Seen(1)})

    async def test_a_cut_brings_everything_that_was_seen_back_into_comparisons(
        self, store: LanedStore
    ) -> None:
        changes = [created(number) for number in range(2)]
        for number, change in enumerate(changes):
            await store.commit(change)
            await store.mark([replace(mark_of(change, number=8), lane=FOREIGN + number)])
        await store.see_checkpoint({FOREIGN: 8, FOREIGN + 1: 8}, checkpoint=FOREIGN + 9)
        await store.cut({FOREIGN: 5, FOREIGN + 9: 0})
        seen = (await store.positions()).seen
        assert seen == {FOREIGN: Seen(8, cut=5), FOREIGN + 1: Seen(8), FOREIGN + 9: Seen(1, cut=0)}


class SeenContract:
    """What a store keeps of the lanes of another one is written with what those lanes did."""

    async def test_an_apply_notes_the_highest_number_of_each_lane(self, store: LanedStore) -> None:
        await admitted(store)
        changes = [_by_lane(created(number), FOREIGN + number % 2, 10 + number) for number in range(4)]
        applied = await store.apply_by_lane(changes)
        assert applied.outcomes == [None] * 4
        positions = await store.positions()
        assert positions.seen == {FOREIGN: Seen(12), FOREIGN + 1: Seen(13)}
        assert applied.stamp is not None
        assert positions.number_of(applied.stamp.lane) == applied.stamp.number
        await store.apply_by_lane([_by_lane(created(9), FOREIGN, 5)])
        await store.apply_by_lane([_by_lane(created(10), FOREIGN, 40)])
        assert (await store.positions()).seen[FOREIGN] == Seen(40)

    async def test_the_stamp_of_an_apply_is_later_than_what_it_found(self, store: LanedStore) -> None:
        await admitted(store)
        first = await store.apply_by_lane([created(1)])
        again = await store.apply_by_lane([created(1)])
        assert first.stamp is not None
        assert again.stamp is not None
        assert again.stamp.number > first.stamp.number

    async def test_an_arriving_entry_keeps_the_stamp_of_its_commit(self, store: LanedStore) -> None:
        await admitted(store)
        for number, batch in enumerate(([created(1)], [created(2), created(3)])):
            changes = [_by_lane(change, FOREIGN, 7 + number) for change in batch]
            await store.apply(changes)
            stored = await stored_entry(store, changes[0])
            assert (stored["lane"], stored["laneNumber"], stored["syncLane"]) == (FOREIGN, 7 + number, None)

    async def test_a_mark_notes_the_stamp_of_the_apply(self, store: LanedStore) -> None:
        change = created(1)
        await store.commit(change)
        await store.mark([mark_of(change, number=8)])
        stored = await stored_entry(store, change)
        assert (stored["syncStatus"], stored["syncLane"], stored["syncNumber"]) == ("SYNCED", FOREIGN, 8)
        assert (await store.positions()).seen == {FOREIGN: Seen(8)}
        await store.mark([mark_of(change, number=3)])
        assert (await store.positions()).seen == {FOREIGN: Seen(8)}

    async def test_marks_above_a_cut_are_void(self, store: LanedStore) -> None:
        lost, kept, late = created(1), created(2), created(3)
        for change in (lost, kept, late):
            await store.commit(change)
        await store.mark([mark_of(lost, number=8)])
        await store.cut({FOREIGN: 5})
        assert (await store.positions()).seen == {FOREIGN: Seen(8, cut=5)}
        await store.mark([mark_of(late, number=9), mark_of(kept, number=4)])
        assert (await stored_entry(store, late))["syncStatus"] == "PENDING"
        assert (await stored_entry(store, kept))["syncStatus"] == "SYNCED"
        await store.lower({FOREIGN: 5})
        await store.mark([mark_of(late, number=6)])
        assert (await store.positions()).seen == {FOREIGN: Seen(5, cut=5)}
        await store.cut({FOREIGN: 7})
        assert (await store.positions()).seen == {FOREIGN: Seen(5, cut=5)}

    async def test_an_apply_raises_nothing_above_a_cut(self, store: LanedStore) -> None:
        await admitted(store)
        first, second = (_by_lane(created(number), FOREIGN, 8 + number) for number in (1, 2))
        await store.apply_by_lane([first])
        await store.cut({FOREIGN: 5})
        await store.lower({FOREIGN: 5})
        await store.apply_by_lane([first, second])
        await store.apply_by_lane([second])
        assert (await store.positions()).seen == {FOREIGN: Seen(5, cut=5)}

    async def test_an_entry_that_has_a_stamp_keeps_it(self, store: LanedStore) -> None:
        await admitted(store)
        change = _by_lane(created(1), FOREIGN, 7)
        await store.commit(change)
        stored = await stored_entry(store, change)
        assert (stored["lane"], stored["laneNumber"]) == (FOREIGN, 7)

    async def test_only_a_mark_that_reopens_changes_a_synced_entry(self, store: LanedStore) -> None:
        change = created(1)
        await store.commit(change)
        await store.mark([mark_of(change, number=8)])
        pending = {"status": SyncStatus.PENDING, "lane": None}
        await store.mark([mark_of(change, number=9, **pending)])
        assert (await stored_entry(store, change))["syncStatus"] == "SYNCED"
        await store.mark([mark_of(change, number=None, reopens=True, **pending)])
        stored = await stored_entry(store, change)
        assert stored["syncStatus"] == "PENDING"
        assert (stored["syncLane"], stored["syncNumber"], stored["syncedAt"]) == (None, None, None)

    async def test_entries_without_a_mark_are_found_by_their_age(self, store: LanedStore) -> None:
        changes = []
        for number in range(4):
            change = put("tasks", task(number))
            changes.append(change_set(change, entries=[entry(change, syncStatus=None)]))
            await store.commit(changes[-1])
        await store.mark([mark_of(changes[1], number=1)])
        question = Question(
            collection=AUDIT_LOGS.collection, where=IsNull("syncStatus"), order=Order(ID), limit=9
        )
        expected = sorted(one.entry_ids[0] for one in (changes[0], changes[2], changes[3]))
        assert [found[ID] for found in await store.find(question)] == expected
        by_lane = replace(question, where=Equals("syncLane", FOREIGN))
        assert [found[ID] for found in await store.find(by_lane)] == list(changes[1].entry_ids)


async def _closed_lane(store: LanedStore) -> int:
    """A lane that was used once."""
    await admitted(store)
    stamp = await store.commit(created(1))
    assert stamp is not None
    assert await store.close_lane(stamp.lane) == 1
    return stamp.lane


async def _open_lanes(store: LanedStore, *, count: int) -> list[Lane]:
    """The open lanes once there are so many: others are closed in the background."""
    async with asyncio.timeout(10):
        while True:
            found = [lane for lane in (await store.positions()).lanes.values() if lane.is_open]
            if len(found) == count:
                return found
            await asyncio.sleep(0.01)


def _by_lane(change: ChangeSet, lane: int, number: int) -> ChangeSet:
    return stamped(change, LaneStamp(lane, number))
