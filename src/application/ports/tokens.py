"""Access and refresh tokens."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of a valid access token, and its session; None if it was issued on the command line."""

    user_id: str
    grants: frozenset[str]
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token that identifies a user for a few minutes."""

    access_token: str
    expires_in_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """The tokens of a client, both opaque to it: a short-lived access token and the current refresh token."""

    access_token: str
    expires_in_seconds: int
    refresh_token: str
    refresh_expires_in_seconds: int
    session_id: str


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A new refresh token and its hash. Only the hash is stored, and the token does not follow from it."""

    text: str
    hash: str


@dataclass(frozen=True, slots=True)
class ShownRefreshToken:
    """A refresh token from a request. `is_genuine`: it was made here with the present key, for this session."""

    session_id: str
    hash: str
    is_genuine: bool


class TokenIssuer(Protocol):
    """Issues access tokens."""

    def issue(self, identity: Identity) -> AccessToken:
        """A signed token for this identity."""


class TokenReader(Protocol):
    """Verifies access tokens."""

    def read(self, access_token: str) -> Identity:
        """The identity. Raises Unauthenticated for a token that is malformed, expired, foreign or forged."""

    def session_of(self, access_token: str) -> str | None:
        """The session of a token, expired or not. Raises Unauthenticated for a token that was not issued here."""


class AccessTokens(TokenIssuer, TokenReader, Protocol):
    """Issues, verifies and revokes access tokens."""

    def refuse_session(self, session_id: str) -> None:
        """Revokes the session's access tokens in this process; in others they are valid until they expire."""


class RefreshTokens(Protocol):
    """Makes and reads refresh tokens; the session decides whether a token is current."""

    def fresh(self, session_id: str) -> RefreshToken:
        """A new token."""

    def read(self, text: str) -> ShownRefreshToken:
        """The content of a token. Raises Unauthenticated for a malformed one."""
