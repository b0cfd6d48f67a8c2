"""What could not be forgotten at once is forgotten later, each key exactly as often as it was owed."""

from adapters.cache.owed_forgets import OwedForgets


def test_what_is_owed_is_handed_out_in_parts_until_it_is_settled() -> None:
    owed = OwedForgets()
    owed.add(["a", "b", "c"], runs_out_at=10)
    first = owed.some(2)
    assert [key for key, _ in first] == ["a", "b"]
    assert owed.some(2) == first
    owed.settled(first)
    assert [key for key, _ in owed.some(2)] == ["c"]
    owed.settled(owed.some(2))
    assert len(owed) == 0
    assert owed.has_run_out(0)


def test_a_key_that_is_owed_again_while_it_is_forgotten_stays_owed() -> None:
    owed = OwedForgets()
    owed.add(["a", "b"], runs_out_at=10)
    on_the_way = owed.some(9)
    owed.add(["a"], runs_out_at=11)
    owed.settled(on_the_way)
    assert [key for key, _ in owed.some(9)] == ["a"]


def test_more_than_can_be_remembered_runs_out_by_itself() -> None:
    owed = OwedForgets(keys_max=3)
    owed.add(["a", "b", "c"], runs_out_at=10)
    assert owed.has_run_out(0)
    owed.add(["d"], runs_out_at=11)
    assert len(owed) == 0
    assert not owed.has_run_out(10.9)
    owed.add(["e"], runs_out_at=12)
    assert not owed.has_run_out(11.5)
    assert owed.has_run_out(12)
    owed.add(["f"], runs_out_at=20)
    assert [key for key, _ in owed.some(9)] == ["f"]
    assert owed.has_run_out(12)
