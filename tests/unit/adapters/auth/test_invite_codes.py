from datetime import UTC, datetime, timedelta

import pytest

from adapters.auth.invite_codes import CODE_LENGTH, MAC_BYTES, InviteCodes
from application.ports.invitations import Invitation

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
INVITATION = Invitation(team_id="0123456789abcdef01234567", series=3, expires_at=NOON)


@pytest.fixture
def codes() -> InviteCodes:
    return InviteCodes(b"a secret")


def test_a_code_returns_its_invitation(codes: InviteCodes) -> None:
    code = codes.code_of(INVITATION)
    assert codes.read(code) == INVITATION
    assert (len(code), code.isalnum(), code.isascii()) == (CODE_LENGTH, True, True)


def test_only_processes_with_the_secret_read_a_code(codes: InviteCodes) -> None:
    code = codes.code_of(INVITATION)
    assert InviteCodes(b"a secret").read(code) == INVITATION
    assert InviteCodes(b"another secret").read(code) is None


def test_a_code_survives_being_typed(codes: InviteCodes) -> None:
    code = codes.code_of(INVITATION)
    assert codes.read(f"  {code.lower()}\n") == INVITATION


def test_no_single_character_can_be_changed(codes: InviteCodes) -> None:
    code = codes.code_of(INVITATION)
    for place, char in enumerate(code):
        other = "A" if char != "A" else "B"
        assert codes.read(code[:place] + other + code[place + 1 :]) is None, place


@pytest.mark.parametrize(
    "code",
    [
        "",
        " ",
        "x",
        "A" * CODE_LENGTH,
        "1" * CODE_LENGTH,
        "A" * 10_000,
        "é" * CODE_LENGTH,
        "=" * CODE_LENGTH,
        "\x00",
    ],
)
def test_text_that_is_no_code_is_none(codes: InviteCodes, code: str) -> None:
    assert codes.read(code) is None


def test_team_end_and_series_each_change_the_code(codes: InviteCodes) -> None:
    made = {
        codes.code_of(
            Invitation(team_id=team_id, series=series, expires_at=NOON + timedelta(seconds=seconds))
        )
        for team_id in (INVITATION.team_id, "f" * 24)
        for series in (1, 2**32 - 1)
        for seconds in (0, 1)
    }
    assert len(made) == 8
    assert all(codes.read(code) is not None for code in made)


def test_the_signature_is_too_long_to_guess() -> None:
    assert MAC_BYTES >= 10
