"""What waits once change sets of a delivery took too long."""

from adapters.dual_write.slow_tables import SLOW_IN_A_ROW_MAX, SlowTables
from adapters.records.change_set import Blocked, ChangeSet
from adapters.records.slow_change_sets import too_slow
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import change_set, put, task


def _creations(count: int) -> list[ChangeSet]:
    return [change_set(put("tasks", task(number))) for number in range(count)]


def _take_long(tables: SlowTables, slow: list[ChangeSet]) -> None:
    for one in slow:
        tables.learn([one], [too_slow(one, 5_000, store="monty")])


def test_a_record_after_slow_ones_waits_alone_and_blocks_no_table() -> None:
    tables = SlowTables("monty")
    *slow, other = _creations(SLOW_IN_A_ROW_MAX + 1)
    _take_long(tables, slow[:-1])
    assert tables.blocking(other) is None
    _take_long(tables, slow[-1:])
    blocked = tables.blocking(other)
    assert isinstance(blocked, Blocked)
    assert (blocked.place, blocked.record_id) == ("tasks", numbered_id(SLOW_IN_A_ROW_MAX))
    assert not blocked.is_slow


def test_nothing_waits_once_another_one_of_the_table_was_stored() -> None:
    tables = SlowTables("monty")
    stored, *slow, other = _creations(SLOW_IN_A_ROW_MAX + 2)
    _take_long(tables, slow)
    tables.learn([stored], [None])
    assert tables.blocking(other) is None
