"""How many stamps of applies are kept, and which are dropped."""

from adapters.ownership.stamps import AppliedStamps
from adapters.records.change_set import DeliveryMark, LaneStamp
from domain.audit import SyncStatus
from tests.unit.builders import NOON
from tests.unit.contracts.builders import change_set, put, task

STAMPS = 10


def _kept(stamps: AppliedStamps, entry_ids: list[str]) -> list[bool]:
    marks = [DeliveryMark(entry_id=one, status=SyncStatus.SYNCED, at=NOON) for one in entry_ids]
    carried = {mark.entry_id for mark in stamps.on(marks)}
    return [entry_id in carried for entry_id in entry_ids]


def test_all_stamps_are_kept_up_to_the_bound_and_the_oldest_dropped_beyond_it() -> None:
    for count in (STAMPS // 2 + 1, STAMPS, STAMPS + 3):
        stamps = AppliedStamps(stamps_max=STAMPS)
        changes = [change_set(put("tasks", task(number))) for number in range(count)]
        for number, change in enumerate(changes):
            stamps.note([change], LaneStamp(1, number + 1))
        dropped = max(0, count - STAMPS)
        expected = [number >= dropped for number in range(count)]
        assert _kept(stamps, [change.entry_ids[0] for change in changes]) == expected


def test_a_stamp_that_is_noted_again_is_the_newest() -> None:
    stamps = AppliedStamps(stamps_max=2)
    first, second, third = (change_set(put("tasks", task(number))) for number in range(3))
    for number, change in enumerate((first, second, first, third)):
        stamps.note([change], LaneStamp(1, number + 1))
    assert _kept(stamps, [change.entry_ids[0] for change in (first, second, third)]) == [True, False, True]


def test_a_mark_that_has_a_stamp_keeps_it() -> None:
    stamps = AppliedStamps()
    mark = DeliveryMark(entry_id="a", status=SyncStatus.SYNCED, at=NOON, lane=7, number=3)
    assert stamps.on([mark]) == [mark]
