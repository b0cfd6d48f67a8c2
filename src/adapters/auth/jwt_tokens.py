"""Access tokens as JSON Web Tokens (RFC 9068), RS256 and nothing else."""

import binascii
import secrets
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

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

_PADDING = PKCS1v15()
_HASH = SHA256()
# Base64url as base64, and what base64url does not know as something that base64 does not know either.
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_FROM_STANDARD = str.maketrans("+/", "-_", "=")
_PADDING_OF_BASE64 = (b"", b"===", b"==", b"=")


class _Header(msgspec.Struct):
    """What we read of a header. Names of keys elsewhere (`jku`, `x5u`, `jwk`) are not even looked at."""

    alg: str
    typ: str
    kid: str


class _Claims(msgspec.Struct, omit_defaults=True):
    """What a token of ours says. Instants in seconds since 1970."""

    iss: str
    aud: str
    sub: str
    iat: float
    exp: Annotated[float, msgspec.Meta(ge=0, le=INSTANT_MAX)]
    jti: str
    grants: Annotated[list[str], msgspec.Meta(max_length=GRANTS_MAX)]
    sid: str | None = None


_HEADERS = msgspec.json.Decoder(_Header)
_CLAIMS = msgspec.json.Decoder(_Claims)


class _Verified(NamedTuple):
    """What a verified token says, and until when."""

    identity: Identity
    expires_at: datetime


class JwtTokens:
    """The port AccessTokens.

    Verifying a signature costs tens of microseconds, so the identities of the last CACHE_MAX tokens verified are
    remembered by the token's whole text; the expiry and the end of the session are looked at on every use.
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
        header = {"alg": ALGORITHM, "typ": KIND, "kid": self._keys.key_id}
        signed = f"{_encoded(msgspec.json.encode(header))}.{_encoded(msgspec.json.encode(claims))}"
        signature = self._keys.private.sign(signed.encode(), _PADDING, _HASH)
        return AccessToken(f"{signed}.{_encoded(signature)}", ACCESS_SECONDS)

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
        """How many tokens are believed without looking at their signature again."""
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
        if claims.iss != ISSUER or claims.aud != AUDIENCE:
            raise Unauthenticated("The access token was made for somebody else.")
        if not is_id(claims.sub) or not (claims.sid is None or is_id(claims.sid)):
            raise Unauthenticated("The access token is malformed.")
        if claims.iat > self._clock.now().timestamp() + CLOCK_SKEW_SECONDS:
            raise Unauthenticated("The access token comes from the future; check the clocks.")
        identity = Identity(claims.sub, frozenset(claims.grants), claims.sid)
        return _Verified(identity, datetime.fromtimestamp(claims.exp, UTC))

    def _claims(self, access_token: str) -> _Claims:
        """The claims of a token that one of our keys has signed. Nothing of them is read before that is sure."""
        if len(access_token) > TOKEN_LENGTH_MAX:
            raise Unauthenticated("The access token is too long.")
        try:
            raw = access_token.encode("ascii")
            signed, _, _ = raw.rpartition(b".")
            header, claims, signature = raw.translate(_TO_STANDARD).split(b".")
            named = _HEADERS.decode(_decoded(header))
            key = self._keys.accepted.get(named.kid)
            if named.alg != ALGORITHM or named.typ != KIND or key is None:
                raise Unauthenticated("The access token was not signed by us.")
            key.verify(_decoded(signature), signed, _PADDING, _HASH)
            return _CLAIMS.decode(_decoded(claims))
        except (InvalidSignature, msgspec.MsgspecError, ValueError) as error:
            raise Unauthenticated("The access token is not valid.") from error


def _encoded(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode("ascii").translate(_FROM_STANDARD)


def _decoded(part: bytes) -> bytes:
    """The bytes of one part, translated already. Raises ValueError for what is not base64url without padding."""
    return binascii.a2b_base64(part + _PADDING_OF_BASE64[len(part) % 4], strict_mode=True)
