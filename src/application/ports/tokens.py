"""Access tokens, from outside."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client keeps: a short-lived access token and a refresh token, both opaque to it."""

    access_token: str
    refresh_token: str
    expires_in_seconds: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a valid access token speaks for."""

    user_id: str
    grants: frozenset[str]


class TokenIssuer(Protocol):
    """Makes tokens."""

    def issue(self, identity: Identity) -> TokenPair:
        """Signed tokens for this identity."""
        ...


class TokenReader(Protocol):
    """Believes tokens or does not."""

    def read(self, access_token: str) -> Identity:
        """Whom the token speaks for. Raises Unauthenticated for one that is malformed, expired, foreign or forged."""
        ...
