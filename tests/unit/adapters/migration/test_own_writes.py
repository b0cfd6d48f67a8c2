"""What the target may lack of a caller is kept whole, within bounds, and survives the way to another process."""

import pytest

from adapters.migration.own_writes import (
    CALLERS_MAX,
    IDS_MAX,
    NOTHING_UNCONFIRMED,
    UNTIL_MS,
    OwnWrites,
    ReadAfter,
    Unconfirmed,
    read_after,
)
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, entry, put, task

ANNA = "a" * 24


class Milliseconds:
    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


def some(count: int) -> Unconfirmed:
    return Unconfirmed(tuple(map(numbered_id, range(count))))


def test_the_first_entry_of_a_change_set_stands_for_all_of_it() -> None:
    writes = OwnWrites(now_ms=Milliseconds())
    changes = [put("tasks", task(number)) for number in (1, 2)]
    made = [entry(change, actorId=ANNA) for change in changes]
    writes.note(change_set(*changes, entries=made))
    assert writes.of(ANNA) == Unconfirmed((made[0]["id"],))


def test_confirmed_writes_are_forgotten() -> None:
    writes = OwnWrites(now_ms=Milliseconds())
    writes.add(ANNA, some(3))
    writes.confirm(ANNA, [numbered_id(0), numbered_id(2)])
    assert writes.of(ANNA) == Unconfirmed((numbered_id(1),))
    writes.confirm(ANNA, [numbered_id(1)])
    assert writes.of(ANNA) == NOTHING_UNCONFIRMED
    assert len(writes) == 0


def test_more_writes_than_the_bound_count_for_a_time() -> None:
    clock = Milliseconds()
    writes = OwnWrites(now_ms=clock)
    for number in range(IDS_MAX + 1):
        writes.add(ANNA, Unconfirmed((numbered_id(number),)))
    assert writes.of(ANNA) == Unconfirmed((), clock.now + UNTIL_MS)
    clock.now += UNTIL_MS
    assert writes.of(ANNA) == NOTHING_UNCONFIRMED
    assert len(writes) == 0


def test_of_more_callers_than_the_bound_the_forgotten_ones_count_for_a_time() -> None:
    clock = Milliseconds()
    writes = OwnWrites(now_ms=clock)
    for number in range(CALLERS_MAX + 1):
        writes.add(numbered_id(number), some(1))
    assert len(writes) == CALLERS_MAX
    assert writes.of(numbered_id(0)).until_ms == clock.now + UNTIL_MS
    clock.now += UNTIL_MS
    assert writes.of(numbered_id(0)) == NOTHING_UNCONFIRMED


@pytest.mark.parametrize("unconfirmed", [some(1), some(IDS_MAX), Unconfirmed((), 1_767_225_600_000)])
def test_a_token_comes_back_as_it_was_sent(unconfirmed: Unconfirmed) -> None:
    sent = ReadAfter(7, "0f9a3c77", unconfirmed)
    assert read_after(sent.text) == sent


def test_a_caller_who_repeats_tokens_and_has_none_says_so() -> None:
    assert read_after("none").unconfirmed == NOTHING_UNCONFIRMED


@pytest.mark.parametrize(
    "text",
    ["", "None", "1.0f9a3c77", "1.0f9a3c77;", "x.0f9a3c77;until=1", "1.0f9a3c77;until=-1", "1.;5f1e",
     "1.0f9a3c77;until=1\n", f"1.0f9a3c77;{','.join(['a' * 24] * (IDS_MAX + 1))}", "9" * 13 + ".0f;until=1"],
)  # fmt: skip
def test_a_malformed_token_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="token"):
        read_after(text)
