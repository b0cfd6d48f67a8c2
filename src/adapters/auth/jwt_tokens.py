"""Access tokens as JSON Web Tokens (RFC 9068), signed with RS256 and no other algorithm."""

import secrets
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import jwt
import msgspec

from adapters.auth.keys import KeyPair
from application.ports.clock import Clock
from application.ports.tokens import AccessToken, Identity
from domain.entity import is_id
from domain.errors import Unauthenticated

ALGORITHM = "RS256"
KIND = "at+jwt"
ISSUER = "tandem"
AUDIENCE = "tandem"
ACCESS_SECONDS = 15 * 60
TOKEN_LENGTH_MAX = 8_192
GRANTS_MAX = 100
CACHE_MAX = 10_000
REFUSED_SESSIONS_MAX = 10_000
CLOCK_SKEW_SECONDS = 5
INSTANT_MAX = 253_402_300_799
"""The last second of the year 9999."""

_OWN_CLOCK: jwt.types.Options = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "strict_aud": True,
}
"""PyJWT does not check times: they are compared with the port Clock, expiry on every use of a cached token."""


class _Claims(msgspec.Struct):
    """The claims that a token must have, besides issuer and audience. Instants are seconds since 1970."""

    sub: str
    iat: float
    exp: Annotated[float, msgspec.Meta(ge=0, le=INSTANT_MAX)]
    jti: str
    grants: Annotated[list[str], msgspec.Meta(max_length=GRANTS_MAX)]
    sid: str | None = None


class _Verified(NamedTuple):
    """The identity that a verified token carries, and the end of its life."""

    identity: Identity
    expires_at: datetime


class JwtTokens:
    """The port AccessTokens.

    Verifying a token costs about a hundred microseconds, so the last CACHE_MAX verified identities are cached by the
    token's whole text; expiry and revoked sessions are checked on every use.
    """

    def __init__(self, keys: KeyPair, *, clock: Clock, cache_max: int = CACHE_MAX) -> None:
        self._keys = keys
        self._cache_max = cache_max
        self._clock = clock
        self._verified: dict[str, _Verified] = {}
        self._refused_sessions: OrderedDict[str, None] = OrderedDict()

    def issue(self, identity: Identity) -> AccessToken:
        issued_at = int(self._clock.now().timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": identity.user_id,
            "iat": issued_at,
            "exp": issued_at + ACCESS_SECONDS,
            "jti": secrets.token_hex(16),
            "grants": sorted(identity.grants),
            **({} if identity.session_id is None else {"sid": identity.session_id}),
        }
        header = {"typ": KIND, "kid": self._keys.key_id}
        access_token = jwt.encode(claims, self._keys.private, ALGORITHM, headers=header)
        return AccessToken(access_token, ACCESS_SECONDS)

    def read(self, access_token: str) -> Identity:
        known = self._verified.get(access_token)
        if known is None:
            known = self._verify(access_token)
            self._remember(access_token, known)
        identity, expires_at = known
        if expires_at <= self._clock.now():
            self._verified.pop(access_token, None)
            raise Unauthenticated("The access token has expired; refresh the session, or sign in again.")
        if identity.session_id in self._refused_sessions:
            raise Unauthenticated("The session of this access token has ended; sign in again.")
        return identity

    def session_of(self, access_token: str) -> str | None:
        return self._verify(access_token).identity.session_id

    def refuse_session(self, session_id: str) -> None:
        self._refused_sessions[session_id] = None
        self._refused_sessions.move_to_end(session_id)
        if len(self._refused_sessions) > REFUSED_SESSIONS_MAX:
            self._refused_sessions.popitem(last=False)

    @property
    def remembered(self) -> int:
        """Number of tokens in the cache."""
        return len(self._verified)

    def derived_secret(self, purpose: str) -> bytes:
        """32 secret bytes for another purpose, the same in every process that holds these keys."""
        return self._keys.derived_secret(purpose)

    def _remember(self, access_token: str, verified: _Verified) -> None:
        self._verified[access_token] = verified
        if len(self._verified) > self._cache_max:
            del self._verified[next(iter(self._verified))]

    def _verify(self, access_token: str) -> _Verified:
        claims = self._claims(access_token)
        if not is_id(claims.sub) or not (claims.sid is None or is_id(claims.sid)):
            raise Unauthenticated("The access token is malformed.")
        if claims.iat > self._clock.now().timestamp() + CLOCK_SKEW_SECONDS:
            raise Unauthenticated("The access token was issued in the future; check the clocks.")
        identity = Identity(claims.sub, frozenset(claims.grants), claims.sid)
        return _Verified(identity, datetime.fromtimestamp(claims.exp, UTC))

    def _claims(self, access_token: str) -> _Claims:
        """The claims, read only after one of our keys has verified the signature."""
        if len(access_token) > TOKEN_LENGTH_MAX:
            raise Unauthenticated("The access token is too long.")
        if "=" in access_token:
            # RFC 7515 has no padding. PyJWT accepts it, which would give one token several texts.
            raise Unauthenticated("The access token is not valid.")
        try:
            header = jwt.get_unverified_header(access_token)
            key = self._keys.accepted.get(header.get("kid", ""))
            if header.get("typ") != KIND or key is None:
                raise Unauthenticated("The access token was not signed by this service.")
            claims = jwt.decode(
                access_token, key, [ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=_OWN_CLOCK
            )
            return msgspec.convert(claims, _Claims)
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError) as error:
            raise Unauthenticated("The access token was issued for another service.") from error
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError) as error:
            raise Unauthenticated("The access token is not valid.") from error
