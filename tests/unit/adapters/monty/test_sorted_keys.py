"""Sorted keys behave like a sorted list, whatever the blocks do."""

import random
from bisect import bisect_left

import pytest

from adapters.monty.sorted_keys import BLOCK_KEYS_MAX, Key, SortedKeys


def test_keys_stay_in_order_through_random_changes() -> None:
    chance = random.Random(1)
    kept, model = SortedKeys(), list[Key]()
    for step in range(6 * BLOCK_KEYS_MAX):
        key = (chance.randrange(1_000_000), step)
        kept.add(key)
        model.insert(bisect_left(model, key), key)
        if step % 3 == 0:
            gone = model.pop(chance.randrange(len(model)))
            kept.remove(gone)
    assert list(kept.between((), (1_000_001,))) == model
    assert len(kept) == len(model)
    for _ in range(200):
        low, high = sorted(((chance.randrange(1_000_000),), (chance.randrange(1_000_000),)))
        expected = model[bisect_left(model, low) : bisect_left(model, high)]
        assert list(kept.between(low, high)) == expected
        assert list(kept.between(low, high, descending=True)) == expected[::-1]
        assert kept.count(low, high) == len(expected)


def test_keys_given_at_once_equal_keys_added_one_by_one() -> None:
    keys = [(number * 7919 % 5_000,) for number in range(5_000)]
    kept = SortedKeys(keys)
    assert list(kept.between((), (5_000,))) == sorted(keys)
    assert (4_999,) in kept
    assert (5_000,) not in kept


def test_everything_can_be_removed() -> None:
    keys = [(number,) for number in range(3 * BLOCK_KEYS_MAX)]
    kept = SortedKeys(keys)
    for key in keys:
        kept.remove(key)
    assert len(kept) == 0
    assert list(kept.between((), (9,))) == []
    kept.add((1,))
    assert list(kept.between((), (9,))) == [(1,)]


def test_a_missing_key_cannot_be_removed() -> None:
    with pytest.raises(KeyError):
        SortedKeys([(1,), (3,)]).remove((2,))


def test_an_empty_range_holds_nothing() -> None:
    kept = SortedKeys([(1,), (2,)])
    assert kept.count((2,), (1,)) == 0
    assert list(kept.between((2,), (1,))) == []
