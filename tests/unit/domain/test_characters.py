"""The rule about characters, compared with Unicode data that does not come from Python."""

from collections.abc import Callable

import pytest
import regex

from domain.characters import has_case, is_hidden, is_letter_or_digit, is_mark, is_virama, is_visible
from domain.name import has_word

SURROGATES = range(0xD800, 0xE000)
ALL = "".join(chr(code) for code in range(0x110000) if code not in SURROGATES)
HIDDEN = r"\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800\ufff9-\ufffb"
EXPECTED: dict[str, tuple[Callable[[str], bool], str]] = {
    "hidden": (is_hidden, rf"[{HIDDEN}]"),
    "a mark": (is_mark, r"\p{M}"),
    "a letter or digit": (is_letter_or_digit, rf"[[\p{{L}}\p{{N}}]--[{HIDDEN}]]"),
    "visible": (is_visible, rf"[^{HIDDEN}\p{{Cc}}\p{{Z}}\p{{M}}]"),
    "a virama": (is_virama, r"\p{Canonical_Combining_Class=9}"),
}


@pytest.mark.parametrize(("is_one", "pattern"), EXPECTED.values(), ids=EXPECTED)
def test_a_character_is_what_the_newest_unicode_says(is_one: Callable[[str], bool], pattern: str) -> None:
    expected = set(regex.findall(f"(?V1){pattern}", ALL))
    found = {each for each in ALL if is_one(each)}
    assert sorted(map(ascii, found ^ expected)) == []


def test_all_letters_of_scripts_with_capitals_have_case() -> None:
    expected = set(regex.findall(r"[\p{Lu}\p{Ll}\p{Lt}]", ALL))
    assert sorted(map(ascii, {each for each in expected if not has_case(each)})) == []
    assert not any(map(has_case, "葛कهא🩵\U0002ebf0\U0001e5d0"))


def test_a_search_needs_a_letter_or_digit_of_any_script() -> None:
    for letter in ("\U0002ebf0", "\U0001e5d0", "\U00010d50", "\U00011f50"):
        assert has_word(f"— {letter}")
    for sign in ("🩵", "🫩", "\U0001f8ff", "\uf8ff", "\ufdd0", "\u3164", "\U000e0100", "\u1acf"):
        assert not has_word(sign)
