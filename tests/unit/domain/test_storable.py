import math
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import RuleBroken
from domain.storable import DEPTH_MAX, INTEGER_MAX, INTEGER_MIN, TOKEN_LENGTH_MAX, require_text, violations_in


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"title": "a\x00b"}, "/title"),
        ({"title": "\ud800"}, "/title"),
        ({"items": [{"n": INTEGER_MAX + 1}]}, "/items/0/n"),
        ({"n": INTEGER_MIN - 1}, "/n"),
        ({"x": math.nan}, "/x"),
        ({"x": -math.inf}, "/x"),
        ({"a/b": {"c~d": "\x00"}}, "/a~1b/c~0d"),
        ({"bad\x00key": 1}, ""),
    ],
)
def test_what_a_store_could_not_hold_is_named_by_its_pointer(value: object, pointer: str) -> None:
    assert [fault.pointer for fault in violations_in(value)] == [pointer]


def test_every_fault_is_found_at_once() -> None:
    assert len(list(violations_in({"a": "\x00", "b": [math.inf, 2**80]}))) == 3


def test_a_long_key_is_cut_in_pointers() -> None:
    value = {"k" * 10_000: ["\x00"]}
    assert [fault.pointer for fault in violations_in(value)] == [f"/{'k' * TOKEN_LENGTH_MAX}…/0"]


def test_faults_are_looked_for_no_further_than_somebody_asks() -> None:
    class Items(list[object]):
        seen = 0

        def __iter__(self) -> Iterator[object]:
            for item in super().__iter__():
                self.seen += 1
                yield item

    items = Items(["\x00"] * 1_000)
    assert len(list(islice(violations_in({"items": items}), 10))) == 10
    assert items.seen == 10


def test_nesting_is_bounded() -> None:
    value: object = 1
    for _ in range(DEPTH_MAX + 2):
        value = [value]
    assert "nested deeper" in next(violations_in(value)).message


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(INTEGER_MIN, INTEGER_MAX)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8", exclude_characters="\x00")),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner),
        max_leaves=20,
    )
)
def test_everything_else_passes(value: object) -> None:
    assert not [fault for fault in violations_in(value) if "nested deeper" not in fault.message]


def test_text_is_bounded_in_characters_and_never_only_blank_where_it_must_say_something() -> None:
    assert require_text("😀" * 10, "/name", shortest=1, longest=10) == "😀" * 10
    for text in ("", "   ", "x" * 11, "a\x00"):
        with pytest.raises(RuleBroken) as refusal:
            require_text(text, "/name", shortest=1, longest=10)
        assert refusal.value.violations[0].pointer == "/name"
