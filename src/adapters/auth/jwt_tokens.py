"""Access and refresh tokens as JSON Web Tokens, RS256 and nothing else."""

import secrets
from collections import OrderedDict
from typing import Any, NamedTuple

import jwt

from adapters.auth.keys import KeyPair
from application.ports.clock import Clock
from application.ports.tokens import Identity, TokenPair
from domain.entity import is_id
from domain.errors import Unauthenticated

ALGORITHM = "RS256"
ISSUER = "tandem"
AUDIENCE = "tandem"
ACCESS_SECONDS = 15 * 60
REFRESH_SECONDS = 7 * 24 * 60 * 60
TOKEN_LENGTH_MAX = 8_192
GRANTS_MAX = 100
CACHE_MAX = 10_000
CLOCK_SKEW_SECONDS = 5

_REQUIRED = ("exp", "iat", "iss", "aud", "sub", "typ", "grants")
# The signature, issuer and audience are the library's; instants are compared with our own clock below.
_CHECKS: Any = {"require": list(_REQUIRED), "verify_exp": False, "verify_iat": False, "verify_nbf": False}


class _Verified(NamedTuple):
    """What a verified token says; `expires_at` in seconds since 1970."""

    identity: Identity
    expires_at: float


class JwtTokens:
    """The ports TokenIssuer and TokenReader.

    Verifying a signature costs tens of microseconds, so the identities of the last CACHE_MAX tokens are remembered by
    the token's whole text; the expiry is checked at every use.
    """

    def __init__(self, keys: KeyPair, *, clock: Clock, cache_max: int = CACHE_MAX) -> None:
        self._keys = keys
        self._cache_max = cache_max
        self._clock = clock
        self._verified: OrderedDict[str, _Verified] = OrderedDict()

    def issue(self, identity: Identity) -> TokenPair:
        return TokenPair(
            access_token=self._signed(identity, "access", ACCESS_SECONDS),
            refresh_token=self._signed(identity, "refresh", REFRESH_SECONDS),
            expires_in_seconds=ACCESS_SECONDS,
        )

    def read(self, access_token: str) -> Identity:
        known = self._verified.get(access_token)
        if known is None:
            known = self._verify(access_token)
            self._remember(access_token, known)
        else:
            self._verified.move_to_end(access_token)
        if known.expires_at <= self._clock.now().timestamp():
            self._verified.pop(access_token, None)
            raise Unauthenticated("The access token has expired; sign in again.")
        return known.identity

    @property
    def remembered(self) -> int:
        """How many tokens are believed without looking at their signature again."""
        return len(self._verified)

    def derived_secret(self, purpose: str) -> bytes:
        """32 secret bytes for another purpose, the same in every process that holds these keys."""
        return self._keys.derived_secret(purpose)

    def _remember(self, access_token: str, verified: _Verified) -> None:
        self._verified[access_token] = verified
        if len(self._verified) > self._cache_max:
            self._verified.popitem(last=False)

    def _signed(self, identity: Identity, kind: str, lifetime_seconds: int) -> str:
        issued_at = int(self._clock.now().timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": identity.user_id,
            "iat": issued_at,
            "exp": issued_at + lifetime_seconds,
            "jti": secrets.token_hex(16),
            "typ": kind,
            "grants": sorted(identity.grants),
        }
        return jwt.encode(claims, self._keys.private, ALGORITHM, headers={"kid": self._keys.key_id})

    def _verify(self, access_token: str) -> _Verified:
        claims = self._claims(access_token)
        user_id, grants, expires_at = claims["sub"], claims["grants"], claims["exp"]
        if claims["typ"] != "access":
            raise Unauthenticated("This is not an access token.")
        if not (is_id(user_id) and _are_grants(grants) and _is_number(expires_at)):
            raise Unauthenticated("The access token is malformed.")
        latest = self._clock.now().timestamp() + CLOCK_SKEW_SECONDS
        if not _is_number(claims["iat"]) or claims["iat"] > latest:
            raise Unauthenticated("The access token comes from the future; check the clocks.")
        return _Verified(Identity(user_id, frozenset(grants)), float(expires_at))

    def _claims(self, access_token: str) -> dict[str, Any]:
        if len(access_token) > TOKEN_LENGTH_MAX:
            raise Unauthenticated("The access token is too long.")
        try:
            if jwt.get_unverified_header(access_token).get("kid") != self._keys.key_id:
                raise Unauthenticated("The access token was signed with a key that is not ours.")
            return jwt.decode(
                access_token,
                self._keys.public,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options=_CHECKS,
            )
        except (jwt.InvalidTokenError, ValueError) as error:
            raise Unauthenticated("The access token is not valid.") from error


def _are_grants(value: object) -> bool:
    return (
        isinstance(value, list) and len(value) <= GRANTS_MAX and all(isinstance(item, str) for item in value)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
