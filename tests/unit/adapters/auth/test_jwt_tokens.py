import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from adapters.auth.jwt_tokens import ACCESS_SECONDS, REFRESH_SECONDS, JwtTokens
from adapters.auth.keys import KeyPair, load_key_pair
from application.ports.tokens import Identity
from domain.errors import Unauthenticated
from tests.unit.builders import ANNA
from tests.unit.entrypoints.http.service import SteppingClock

IDENTITY = Identity(ANNA, frozenset({"admin"}))


@pytest.fixture(scope="module")
def keys() -> KeyPair:
    return load_key_pair(None, None)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def tokens(keys: KeyPair, clock: SteppingClock) -> JwtTokens:
    return JwtTokens(keys, clock=clock)


def forged(keys: KeyPair, clock: SteppingClock, **changed: Any) -> str:
    """A token signed with our key whose claims are changed; None removes one."""
    now = int(clock.now().timestamp())
    claims = {
        "iss": "tandem",
        "aud": "tandem",
        "sub": ANNA,
        "iat": now,
        "exp": now + 60,
        "typ": "access",
        "grants": [],
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, keys.private, "RS256", headers={"kid": keys.key_id})


def test_a_token_speaks_for_whom_it_was_issued(tokens: JwtTokens) -> None:
    issued = tokens.issue(IDENTITY)

    assert tokens.read(issued.access_token) == IDENTITY
    assert issued.expires_in_seconds == ACCESS_SECONDS


def test_a_token_of_the_same_keys_is_believed_by_another_process(keys: KeyPair, clock: SteppingClock) -> None:
    issued = JwtTokens(keys, clock=clock).issue(IDENTITY)

    assert JwtTokens(keys, clock=clock).read(issued.access_token) == IDENTITY


def test_the_unchanged_forgery_is_believed_so_that_the_changes_are_what_is_refused(
    keys: KeyPair, clock: SteppingClock, tokens: JwtTokens
) -> None:
    assert tokens.read(forged(keys, clock)).user_id == ANNA


def test_a_token_expires_also_when_it_was_believed_before(tokens: JwtTokens, clock: SteppingClock) -> None:
    access = tokens.issue(IDENTITY).access_token
    tokens.read(access)
    clock.pass_time(ACCESS_SECONDS - 1)
    assert tokens.read(access) == IDENTITY

    clock.pass_time(1)

    for reader in (tokens, tokens):
        with pytest.raises(Unauthenticated, match="expired"):
            reader.read(access)


def test_a_refresh_token_is_no_access_token(tokens: JwtTokens, keys: KeyPair) -> None:
    refresh = tokens.issue(IDENTITY).refresh_token

    with pytest.raises(Unauthenticated, match="not an access token"):
        tokens.read(refresh)
    claims = jwt.decode(refresh, keys.public, ["RS256"], audience="tandem", options={"verify_exp": False})
    assert claims["exp"] - claims["iat"] == REFRESH_SECONDS


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "elsewhere"},
        {"aud": "elsewhere"},
        {"sub": "anna"},
        {"sub": None},
        {"exp": None},
        {"iat": None},
        {"typ": None},
        {"typ": "refresh"},
        {"grants": None},
        {"grants": "admin"},
        {"grants": [1]},
        {"grants": ["x"] * 101},
        {"exp": 1},
        {"iat": 99_999_999_999},
        {"exp": "soon"},
        {"exp": True},
    ],
    ids=str,
)
def test_claims_that_do_not_fit_are_refused(
    tokens: JwtTokens, keys: KeyPair, clock: SteppingClock, changed: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        tokens.read(forged(keys, clock, **changed))


def test_foreign_signatures_and_algorithms_are_refused(
    tokens: JwtTokens, keys: KeyPair, clock: SteppingClock
) -> None:
    claims = jwt.decode(
        forged(keys, clock), keys.public, ["RS256"], audience="tandem", options={"verify_exp": False}
    )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = keys.public.public_bytes(serialization.Encoding.PEM, form)
    stranger = load_key_pair(None, None)
    header, payload, signature = forged(keys, clock).split(".")
    admin = (
        base64.urlsafe_b64encode(json.dumps({**claims, "grants": ["admin"]}).encode()).decode().rstrip("=")
    )
    hs256 = (
        base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": keys.key_id}).encode())
        .decode()
        .rstrip("=")
    )
    mac = hmac.digest(pem, f"{hs256}.{payload}".encode(), "sha256")
    attempts = {
        "stranger's key under our name": jwt.encode(
            claims, stranger.private, "RS256", headers={"kid": keys.key_id}
        ),
        "stranger's key": jwt.encode(claims, stranger.private, "RS256", headers={"kid": stranger.key_id}),
        "no key named": jwt.encode(claims, keys.private, "RS256"),
        "other algorithm": jwt.encode(claims, keys.private, "PS256", headers={"kid": keys.key_id}),
        "no signature": jwt.encode(claims, None, "none", headers={"kid": keys.key_id}),  # type: ignore[arg-type]
        "public key as a shared secret": f"{hs256}.{payload}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}",
        "changed claims": f"{header}.{admin}.{signature}",
        "cut off": f"{header}.{payload}.",
        "no token": "nonsense",
        "too long": "x" * 8_193,
    }

    for name, attempt in attempts.items():
        with pytest.raises(Unauthenticated):
            pytest.fail(f"{name} was believed: {tokens.read(attempt)}")


def test_remembered_tokens_are_bounded(keys: KeyPair, clock: SteppingClock) -> None:
    tokens = JwtTokens(keys, clock=clock, cache_max=2)

    for number in range(5):
        tokens.read(forged(keys, clock, jti=str(number)))

    assert tokens.remembered == 2


def test_a_token_that_was_refused_is_not_remembered(
    tokens: JwtTokens, keys: KeyPair, clock: SteppingClock
) -> None:
    with pytest.raises(Unauthenticated):
        tokens.read(forged(keys, clock, iss="elsewhere"))

    assert tokens.remembered == 0
