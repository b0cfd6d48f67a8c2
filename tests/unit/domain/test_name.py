import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import RuleBroken
from domain.label import Label
from domain.name import has_word, name_key, require_name, valid_name
from domain.project import Project
from domain.role import Role, RoleScope
from domain.team import Team
from domain.user import User
from tests.data.names import BAD_NAMES, COMPOSED, DECOMPOSED, GOOD_NAMES
from tests.unit.builders import ANNA, numbered_id, stamp

LENGTH_MAX = 100


@pytest.mark.parametrize(
    ("name", "sentence"), [row[1:] for row in BAD_NAMES], ids=[row[0] for row in BAD_NAMES]
)
def test_a_name_with_hidden_or_directing_characters_is_rejected_with_the_reason(
    name: str, sentence: str
) -> None:
    with pytest.raises(RuleBroken) as refusal:
        require_name(name, "/name", longest=LENGTH_MAX)
    (fault,) = refusal.value.violations
    assert (fault.pointer, sentence in fault.message) == ("/name", True), fault.message


def test_a_refusal_names_the_character() -> None:
    with pytest.raises(RuleBroken) as refusal:
        require_name("a\x1b\u202eb", "/name", longest=LENGTH_MAX)
    said = [fault.message for fault in refusal.value.violations]
    assert ["U+001B" in said[0], "U+202E" in said[1]] == [True, True]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_names_in_every_script_stay_as_they_are(name: str) -> None:
    assert require_name(name, "/name", longest=LENGTH_MAX) == name
    assert valid_name(name, longest=LENGTH_MAX) == name


def test_both_spellings_of_a_letter_are_one_name() -> None:
    assert DECOMPOSED != COMPOSED
    assert require_name(DECOMPOSED, "/name", longest=LENGTH_MAX) == COMPOSED


@pytest.mark.parametrize("around", [" ", "   ", "\u00a0", "\u3000", "\t", "\n"])
def test_white_space_at_its_ends_is_no_part_of_a_name(around: str) -> None:
    for text in (f"bug{around}", f"{around}bug", f"{around}bug{around}"):
        assert require_name(text, "/name", longest=3) == "bug"


@pytest.mark.parametrize("name", ["", "   ", "x" * (LENGTH_MAX + 1), "\ufb2c" * 40])
def test_the_length_counts_as_it_is_kept(name: str) -> None:
    with pytest.raises(RuleBroken) as refusal:
        require_name(name, "/name", longest=LENGTH_MAX)
    assert [fault.pointer for fault in refusal.value.violations] == ["/name"]
    assert "1 to 100 characters" in refusal.value.violations[0].message


def may_be_kept(text: str) -> bool:
    try:
        require_name(text, "/name", longest=LENGTH_MAX)
    except RuleBroken:
        return False
    return True


@given(st.text(min_size=1, max_size=20).filter(may_be_kept))
def test_a_name_that_is_kept_is_one_line_that_stays_the_same_when_it_is_given_again(text: str) -> None:
    name = require_name(text, "/name", longest=LENGTH_MAX)
    assert require_name(name, "/name", longest=LENGTH_MAX) == name
    assert len(name.splitlines()) == 1
    assert name == name.strip()
    assert not any(unicodedata.category(character) == "Cc" for character in name)


NAMED: dict[str, Callable[[str], Label | Project | Team | Role | User]] = {
    "label": lambda name: Label.create(numbered_id(1), stamp(), {"name": name}),
    "project": lambda name: Project.create(numbered_id(1), stamp(), owner_id=ANNA, changes={"name": name}),
    "team": lambda name: Team.create(numbered_id(1), stamp(), owner_id=ANNA, changes={"name": name}),
    "role": lambda name: Role.create(numbered_id(1), stamp(), scope=RoleScope.TEAM, changes={"name": name}),
    "user": lambda name: User.create(numbered_id(1), stamp(), email="a@example.org", name=name),
}


@pytest.mark.parametrize("create", NAMED.values(), ids=NAMED.keys())
def test_everything_with_a_name_keeps_the_one_rule(
    create: Callable[[str], Label | Project | Team | Role | User],
) -> None:
    made = create(DECOMPOSED)
    assert made.name == COMPOSED
    assert made.edit(stamp(1), {"name": DECOMPOSED}) is made
    assert made.edit(stamp(1), {"name": "Pa\u0301rk"}).name == "Párk"
    for bad in ("a\x1bb", "\u202ea", "\u200b"):
        with pytest.raises(RuleBroken) as new:
            create(bad)
        with pytest.raises(RuleBroken) as changed:
            made.edit(stamp(1), {"name": bad})
        faults = (*new.value.violations, *changed.value.violations)
        assert [fault.pointer for fault in faults] == ["/name", "/name"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  Ada\tLovelace\n", "Ada Lovelace"),
        ("\u202eAda", "Ada"),
        (f"{DECOMPOSED}  ", COMPOSED),
        ("x" * 150, "x" * LENGTH_MAX),
        ("\u200b \n", ""),
        ("", ""),
        ("Ada\x00\ud800\u200b Love\u00adlace", "Ada Lovelace"),
        ("Ada\u200e", "Ada"),
        ("\u0301", ""),
        ("x" * (LENGTH_MAX - 1) + "👩\u200d🚀", "x" * (LENGTH_MAX - 1) + "👩"),
        ("x" * (LENGTH_MAX - 1) + " y", "x" * (LENGTH_MAX - 1)),
        ("e\u200b\u0301", "é"),
    ],
)
def test_the_valid_part_of_a_name_from_a_provider_is_kept(text: str, name: str) -> None:
    assert valid_name(text, longest=LENGTH_MAX) == name
    if name:
        assert require_name(name, "/name", longest=LENGTH_MAX) == name


PIECES = (
    [name for _, name, _ in BAD_NAMES]
    + GOOD_NAMES
    + [DECOMPOSED, " ", "\x00", "\ud800", "\u200d", "\ufe0f", "\u200f"]
)


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.integers(0, 0x10FFFF).map(chr))).map("".join))
def test_every_name_from_a_provider_gives_a_valid_name_or_none(text: str) -> None:
    for longest in (3, LENGTH_MAX):
        name = valid_name(text, longest=longest)
        assert name == "" or require_name(name, "/name", longest=longest) == name


@pytest.mark.parametrize(
    ("one", "other"), [("Bug", "bug"), ("STRASSE", "straße"), ("Café", "CAFE\u0301"), ("ΟΔΟΣ", "οδος")]
)
def test_names_that_differ_in_case_or_spelling_have_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)
    assert name_key(one) != name_key(f"{other}s")


@pytest.mark.parametrize(
    ("text", "is_expected"),
    [
        ("a", True),
        ("#1", True),
        ("搬", True),
        ("㎡", True),
        ("½", True),
        ("🅰", True),
        ("—", False),
        ("…", False),
        ("\u3164", False),
    ],
)
def test_a_search_needs_a_visible_letter_or_digit(text: str, is_expected: bool) -> None:
    assert has_word(text) is is_expected
