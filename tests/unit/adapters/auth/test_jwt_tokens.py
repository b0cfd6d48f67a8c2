import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from adapters.auth.jwt_tokens import ACCESS_SECONDS, REFUSED_SESSIONS_MAX, JwtTokens
from adapters.auth.keys import KeyPair, load_key_pair
from application.ports.tokens import Identity
from domain.errors import Unauthenticated
from tests.unit.adapters.auth.pem import private_pem, public_pem
from tests.unit.builders import ANNA
from tests.unit.entrypoints.http.service import SteppingClock

SESSION = "5" * 24
IDENTITY = Identity(ANNA, frozenset({"admin"}), SESSION)


@pytest.fixture(scope="module")
def keys() -> KeyPair:
    return load_key_pair(None, None)


def pem_pair() -> tuple[str, str]:
    """A private key and its public half."""
    key = rsa.generate_private_key(65_537, 2_048)
    return private_pem(key), public_pem(key)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def tokens(keys: KeyPair, clock: SteppingClock) -> JwtTokens:
    return JwtTokens(keys, clock=clock)


def forged(keys: KeyPair, clock: SteppingClock, *, kind: str | None = "at+jwt", **changed: Any) -> str:
    """A token signed with our key that has changed claims; None removes one."""
    now = int(clock.now().timestamp())
    claims = {
        "iss": "tandem",
        "aud": "tandem",
        "sub": ANNA,
        "iat": now,
        "exp": now + 60,
        "jti": "1",
        "grants": [],
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, keys.private, "RS256", headers={"kid": keys.key_id, "typ": kind})


def test_a_token_carries_the_identity_it_was_issued_for(tokens: JwtTokens) -> None:
    issued = tokens.issue(IDENTITY)

    assert tokens.read(issued.access_token) == IDENTITY
    assert issued.expires_in_seconds == ACCESS_SECONDS


def test_another_process_with_the_same_keys_accepts_a_token(keys: KeyPair, clock: SteppingClock) -> None:
    issued = JwtTokens(keys, clock=clock).issue(IDENTITY)

    assert JwtTokens(keys, clock=clock).read(issued.access_token) == IDENTITY


def test_the_forgery_is_accepted_as_long_as_no_claim_is_changed(
    keys: KeyPair, clock: SteppingClock, tokens: JwtTokens
) -> None:
    assert tokens.read(forged(keys, clock)).user_id == ANNA


def test_a_cached_token_expires_as_well(tokens: JwtTokens, clock: SteppingClock) -> None:
    access = tokens.issue(IDENTITY).access_token
    tokens.read(access)
    clock.pass_time(ACCESS_SECONDS - 1)
    assert tokens.read(access) == IDENTITY

    clock.pass_time(1)

    for reader in (tokens, tokens):
        with pytest.raises(Unauthenticated, match="expired"):
            reader.read(access)


def test_an_issued_token_is_a_jwt_that_anyone_with_the_public_key_can_check(
    tokens: JwtTokens, keys: KeyPair
) -> None:
    access = tokens.issue(IDENTITY).access_token

    signed, _, signature = access.rpartition(".")
    header, claims = (json.loads(raw_part(part)) for part in signed.split("."))
    keys.accepted[keys.key_id].verify(raw_part(signature), signed.encode(), PKCS1v15(), SHA256())
    assert header == {"alg": "RS256", "typ": "at+jwt", "kid": keys.key_id}
    assert (claims["sub"], claims["sid"], claims["iss"]) == (ANNA, SESSION, "tandem")
    assert claims["exp"] - claims["iat"] == ACCESS_SECONDS == 15 * 60


def raw_part(part: str) -> bytes:
    """The bytes of one part of a token."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_after_a_change_of_keys_tokens_of_the_earlier_key_stay_valid(clock: SteppingClock) -> None:
    old_private, old_public = pem_pair()
    new_private, new_public = pem_pair()
    earlier = JwtTokens(load_key_pair(old_private, old_public), clock=clock)
    prepared = JwtTokens(load_key_pair(old_private, old_public + new_public), clock=clock)
    changed = JwtTokens(load_key_pair(new_private, new_public + old_public), clock=clock)
    finished = JwtTokens(load_key_pair(new_private, new_public), clock=clock)

    old_token, new_token = earlier.issue(IDENTITY).access_token, changed.issue(IDENTITY).access_token

    assert changed.read(old_token) == prepared.read(new_token) == IDENTITY
    assert jwt.get_unverified_header(new_token)["kid"] != jwt.get_unverified_header(old_token)["kid"]
    for reader, token in ((earlier, new_token), (finished, old_token)):
        with pytest.raises(Unauthenticated, match="not signed by this service"):
            reader.read(token)


def test_cached_tokens_of_an_ended_session_are_rejected(tokens: JwtTokens) -> None:
    of_session, other = tokens.issue(IDENTITY).access_token, tokens.issue(Identity(ANNA, frozenset()))
    tokens.read(of_session)

    tokens.refuse_session(SESSION)

    with pytest.raises(Unauthenticated, match="ended"):
        tokens.read(of_session)
    assert tokens.read(other.access_token).session_id is None


def test_the_list_of_ended_sessions_is_bounded_and_keeps_the_latest(tokens: JwtTokens) -> None:
    token = tokens.issue(IDENTITY).access_token
    for number in range(REFUSED_SESSIONS_MAX):
        tokens.refuse_session(f"{number:024x}")
    tokens.refuse_session(SESSION)

    with pytest.raises(Unauthenticated):
        tokens.read(token)
    first = Identity(ANNA, frozenset(), f"{0:024x}")
    assert tokens.read(tokens.issue(first).access_token) == first


def test_the_session_of_an_expired_token_is_still_known(tokens: JwtTokens, clock: SteppingClock) -> None:
    token = tokens.issue(IDENTITY).access_token
    clock.pass_time(ACCESS_SECONDS + 1)

    assert tokens.session_of(token) == SESSION
    with pytest.raises(Unauthenticated):
        tokens.session_of(token[:-8] + "AAAAAAAA")


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "elsewhere"},
        {"iss": None},
        {"aud": "elsewhere"},
        {"aud": None},
        {"sub": "anna"},
        {"sub": None},
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"kind": "JWT"},
        {"kind": "refresh+jwt"},
        {"kind": None},
        {"aud": ["tandem"]},
        {"sid": "1"},
        {"sid": 5},
        {"grants": None},
        {"grants": "admin"},
        {"grants": [1]},
        {"grants": ["x"] * 101},
        {"exp": 1},
        {"iat": 99_999_999_999},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"iat": float("inf")},
    ],
    ids=str,
)
def test_invalid_claims_are_rejected(
    tokens: JwtTokens, keys: KeyPair, clock: SteppingClock, changed: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        tokens.read(forged(keys, clock, **changed))


def test_foreign_signatures_and_algorithms_are_rejected(
    tokens: JwtTokens, keys: KeyPair, clock: SteppingClock
) -> None:
    claims = jwt.decode(
        forged(keys, clock),
        keys.accepted[keys.key_id],
        ["RS256"],
        audience="tandem",
        options={"verify_exp": False},
    )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = keys.accepted[keys.key_id].public_bytes(serialization.Encoding.PEM, form)
    stranger = load_key_pair(None, None)
    header, payload, signature = forged(keys, clock).split(".")
    admin = (
        base64.urlsafe_b64encode(json.dumps({**claims, "grants": ["admin"]}).encode()).decode().rstrip("=")
    )
    named = {"kid": keys.key_id, "typ": "at+jwt"}
    hs256 = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", **named}).encode()).decode().rstrip("=")
    mac = hmac.digest(pem, f"{hs256}.{payload}".encode(), "sha256")
    attempts = {
        "stranger's key under our name": jwt.encode(claims, stranger.private, "RS256", headers=named),
        "stranger's key": jwt.encode(
            claims, stranger.private, "RS256", headers={**named, "kid": stranger.key_id}
        ),
        "no key named": jwt.encode(claims, keys.private, "RS256", headers={"typ": "at+jwt"}),
        "other algorithm": jwt.encode(claims, keys.private, "PS256", headers=named),
        "no signature": jwt.encode(claims, None, "none", headers=named),  # type: ignore[arg-type]
        "public key as a shared secret": f"{hs256}.{payload}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}",
        "changed claims": f"{header}.{admin}.{signature}",
        "cut off": f"{header}.{payload}.",
        "padded": f"{header}.{payload}.{signature}==",
        "plain base64": f"{header}.{payload}.{signature[:-4]}+/+/",
        "not ASCII": f"{header}.{payload}.é{signature[1:]}",
        "one part too many": f"{header}.{payload}.{signature}.{signature}",
        "a key of its own": jwt.encode(
            claims,
            stranger.private,
            "RS256",
            headers={**named, "jwk": {"kty": "RSA"}, "jku": "https://e.org"},
        ),
        "no token": "nonsense",
        "too long": "x" * 8_193,
    }

    for name, attempt in attempts.items():
        with pytest.raises(Unauthenticated):
            pytest.fail(f"{name} was believed: {tokens.read(attempt)}")


def test_the_token_cache_is_bounded(keys: KeyPair, clock: SteppingClock) -> None:
    tokens = JwtTokens(keys, clock=clock, cache_max=2)

    for number in range(5):
        tokens.read(forged(keys, clock, jti=str(number)))

    assert tokens.remembered == 2


def test_a_rejected_token_is_not_cached(tokens: JwtTokens, keys: KeyPair, clock: SteppingClock) -> None:
    with pytest.raises(Unauthenticated):
        tokens.read(forged(keys, clock, iss="elsewhere"))

    assert tokens.remembered == 0
