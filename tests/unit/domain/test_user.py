import pytest

from domain.errors import RuleBroken
from domain.user import User, normal_email
from tests.unit.builders import numbered_id, stamp


def test_addresses_compare_without_case_and_blanks() -> None:
    assert normal_email("  Anna@Example.ORG ") == "anna@example.org"


def test_a_dot_after_the_host_makes_no_other_address() -> None:
    assert normal_email("Anna@Example.org. ") == "anna@example.org"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "@example.org",
        "anna@",
        "a b@example.org",
        "a@b@c",
        "a\x00@b.c",
        "a\x1b@b.c",
        "a\n@b.c",
        "a@.",
        "a@b..",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(RuleBroken) as refusal:
        normal_email(text)
    assert refusal.value.violations[0].pointer == "/email"


@pytest.mark.parametrize(
    "text",
    [
        "\N{KELVIN SIGN}ate@example.org",
        "ada@\N{KELVIN SIGN}.example",
        "f\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}n@example.org",
        "\N{FULLWIDTH LATIN SMALL LETTER A}da@example.org",
        "\N{NO-BREAK SPACE}ada@example.org",
        "\N{CYRILLIC SMALL LETTER A}da@example.org",
        "ada@g\N{LATIN SMALL LETTER A WITH DIAERESIS}rten.example",
    ],
)
def test_no_letter_beyond_ascii_makes_one_address_of_two(text: str) -> None:
    with pytest.raises(RuleBroken) as refusal:
        normal_email(text)
    assert refusal.value.violations[0].pointer == "/email"


def test_a_host_is_written_in_punycode() -> None:
    assert normal_email("Ada@XN--GRTEN-GRA.example") == "ada@xn--grten-gra.example"


def test_grants_are_kept_sorted_and_once() -> None:
    user = User.create(numbered_id(1), stamp(), email="a@example.org", name="Anna", grants=("b", "a"))
    assert user.grant(stamp(1), "b") is user
    assert user.grant(stamp(1), "ab").grants == ("a", "ab", "b")
