import pytest

from domain.errors import RuleBroken
from domain.user import User, normal_email
from tests.unit.builders import numbered_id, stamp


def test_addresses_compare_without_case_and_blanks() -> None:
    assert normal_email("  Anna@Example.ORG ") == "anna@example.org"


@pytest.mark.parametrize(
    "text", ["", "anna", "@example.org", "anna@", "a b@example.org", "a@b@c", "a\x00@b.c"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(RuleBroken) as refusal:
        normal_email(text)
    assert refusal.value.faults[0].pointer == "/email"


def test_grants_are_kept_sorted_and_once() -> None:
    user = User.create(numbered_id(1), stamp(), email="a@example.org", name="Anna", grants=("b", "a"))
    assert user.grant(stamp(1), "b") is user
    assert user.grant(stamp(1), "ab").grants == ("a", "ab", "b")
