import base64
import hashlib

import pytest

from adapters.auth.refresh_tokens import TEXT_LENGTH, OpaqueRefreshTokens
from domain.errors import Unauthenticated

SESSION, OTHER = "5" * 24, "6" * 24


@pytest.fixture
def tokens() -> OpaqueRefreshTokens:
    return OpaqueRefreshTokens(b"k" * 32)


def test_a_token_names_its_session_and_is_stored_as_a_digest(tokens: OpaqueRefreshTokens) -> None:
    token = tokens.fresh(SESSION)

    shown = tokens.read(token.text)

    assert (shown.session_id, shown.hash, shown.is_genuine) == (SESSION, token.hash, True)
    assert token.hash == hashlib.sha256(token.text.encode()).hexdigest()
    assert len(token.text) == TEXT_LENGTH
    assert tokens.fresh(SESSION).text != token.text


def test_a_made_up_token_or_one_for_another_session_is_not_genuine(
    tokens: OpaqueRefreshTokens,
) -> None:
    secret = tokens.fresh(SESSION).text.partition(".")[2]
    made_up = base64.urlsafe_b64encode(b"x" * 48).decode()

    assert not tokens.read(f"{SESSION}.{made_up}").is_genuine
    assert not tokens.read(f"{OTHER}.{secret}").is_genuine
    assert not OpaqueRefreshTokens(b"l" * 32).read(f"{SESSION}.{secret}").is_genuine


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        SESSION,
        f"{SESSION}.",
        f"{SESSION}." + "A" * 63,
        f"{SESSION}." + "A" * 65,
        f"{SESSION}." + "=" * 64,
        f"{SESSION}." + "é" * 64,
        f"{SESSION}." + "\ud800" * 64,
        "Z" * 24 + "." + "A" * 64,
        "x" * 10_000,
    ],
)
def test_text_in_another_format_than_a_token_is_rejected(tokens: OpaqueRefreshTokens, text: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.read(text)
