"""Access and refresh tokens, from outside."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a valid access token speaks for, and the session it came from; None for one made on the command line."""

    user_id: str
    grants: frozenset[str]
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed statement of who somebody is, for a few minutes."""

    access_token: str
    expires_in_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """What a client keeps, both opaque to it: a short-lived access token and the session's present refresh token."""

    access_token: str
    expires_in_seconds: int
    refresh_token: str
    refresh_expires_in_seconds: int
    session_id: str


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A fresh refresh token and what is stored of it: nobody who reads the store can make the token of its hash."""

    text: str
    hash: str


@dataclass(frozen=True, slots=True)
class ShownRefreshToken:
    """A refresh token that somebody brought. `is_genuine`: it was made here, so a wrong one is an older one."""

    session_id: str
    hash: str
    is_genuine: bool


class TokenIssuer(Protocol):
    """Makes access tokens."""

    def issue(self, identity: Identity) -> AccessToken:
        """A signed token for this identity."""
        ...


class TokenReader(Protocol):
    """Believes access tokens or does not."""

    def read(self, access_token: str) -> Identity:
        """Whom the token speaks for. Raises Unauthenticated for one that is malformed, expired, foreign or forged."""
        ...

    def session_of(self, access_token: str) -> str | None:
        """The session it came from, also when it has expired. Raises Unauthenticated for one that is not ours."""
        ...


class AccessTokens(TokenIssuer, TokenReader, Protocol):
    """Both, and the end of a session."""

    def refuse_session(self, session_id: str) -> None:
        """This process believes no further access token of the session; others do until the tokens expire."""
        ...


class RefreshTokens(Protocol):
    """Makes and reads refresh tokens; whether one still counts is the session's business."""

    def fresh(self, session_id: str) -> RefreshToken:
        """A token with a new secret."""
        ...

    def read(self, text: str) -> ShownRefreshToken:
        """What a token says. Raises Unauthenticated for text that has not the form of one."""
        ...
