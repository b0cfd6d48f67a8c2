"""When a lane shows that its process is alive, by the clock of its store."""

import pytest

from adapters.ownership.comparison import LEASE_SECONDS, Watch, absent_in_source, shows_life, strangers
from adapters.records.lanes import Lane, Positions, ProcessIdentity

ME = ProcessIdentity("me", "host", "boot", 1)
OTHER = ProcessIdentity("other", "host", "boot", 2)
DAYS_AHEAD = -172_800.0
LONG, SHORT = Watch(60.0, 60.0), Watch(1.0, 1.0)


def lane_of(silent_seconds: float, *, is_open: bool = True) -> Positions:
    lane = Lane(
        lane=1, number=1, is_open=is_open, epoch=1, opening="", by=OTHER, silent_seconds=silent_seconds
    )
    return Positions({1: lane})


@pytest.mark.parametrize(
    ("silent_seconds", "is_alive"),
    [(0.0, True), (LEASE_SECONDS, True), (LEASE_SECONDS + 1, False), (-1.0, True), (DAYS_AHEAD, False)],
)
def test_a_beat_shows_life_for_the_length_of_the_lease(silent_seconds: float, *, is_alive: bool) -> None:
    assert [shows_life(lane) for lane in lane_of(silent_seconds).lanes.values()] == [is_alive]
    assert not shows_life(lane_of(silent_seconds, is_open=False).lanes[1])


def test_a_beat_in_the_future_makes_nobody_heard_in_the_source() -> None:
    source, target = lane_of(DAYS_AHEAD), lane_of(0.0)
    assert [lane.by for lane in absent_in_source(source, target, me=ME, watch=LONG)] == [OTHER]


@pytest.mark.parametrize(("watch", "found"), [(LONG, []), (SHORT, [OTHER])])
def test_a_beat_in_the_future_makes_a_stranger_only_until_the_target_was_watched(
    watch: Watch, found: list[ProcessIdentity]
) -> None:
    nobody = Positions({})
    met = strangers(nobody, lane_of(DAYS_AHEAD), me=ME, watch=watch, is_gone=lambda _: False)
    assert [lane.by for lane in met] == found
