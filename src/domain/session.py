"""A session: one sign-in and its refresh tokens."""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from domain.entity import Entity, Stamp

SIGNED_OUT = "signed out"
REUSED = "an older refresh token was shown again"
USER_GONE = "the user is gone"
GRACE = timedelta(seconds=10)
"""How long a replaced refresh token still yields a successor: tabs refresh at once, and responses get lost."""
CURRENT_TOKENS_MAX = 16
"""Beyond it the token that was issued first is no longer accepted. Each use of a replaced token adds one."""
REPLACED_TOKENS_MAX = 16

ENDINGS = {
    SIGNED_OUT: "You signed out of this session; sign in again.",
    REUSED: "An older refresh token of this session was used again, so somebody may have stolen it. The session was"
    " ended; sign in again.",
    USER_GONE: "The account of this session no longer exists.",
}
"""What a client is told about an ended session, by its `ended_because`."""


@dataclass(frozen=True, slots=True)
class SessionToken:
    """A refresh token by its hash. `replaced_at_ms` is in milliseconds since 1970; None while it is current."""

    hash: str
    replaced_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Entity):
    """`tokens` are the current refresh tokens and those replaced within GRACE, oldest first.

    Every current token can be exchanged for one successor. A token replaced within GRACE yields another successor, and
    both go on. Presenting any older token ends the session. `expires_at` is fixed at sign-in: refreshing does not move
    it.
    """

    user_id: str
    tokens: tuple[SessionToken, ...]
    expires_at: datetime
    ended_because: str | None = None

    @classmethod
    def create(cls, id: str, stamp: Stamp, *, user_id: str, token_hash: str, expires_at: datetime) -> Self:
        """Version 1 of a session."""
        return cls._first(
            id, stamp, user_id=user_id, tokens=(SessionToken(token_hash),), expires_at=expires_at
        )

    def is_open(self, now: datetime) -> bool:
        """Whether the session can still be refreshed."""
        return not self.is_deleted and self.ended_because is None and now < self.expires_at

    def knows(self, token_hash: str) -> bool:
        """Whether this is the hash of a token that is current or was replaced lately."""
        return self._token(token_hash) is not None

    def accepts(self, token_hash: str, now: datetime) -> bool:
        """Whether this is the hash of a token that is current or was replaced within GRACE."""
        token = self._token(token_hash)
        return token is not None and _is_accepted(token, now)

    def refresh(self, stamp: Stamp, *, shown_hash: str, token_hash: str) -> Self:
        """The session with a successor of the token shown, which it accepts."""
        self.require_live()
        replaced = [
            replace(token, replaced_at_ms=_milliseconds(stamp.at))
            if token.hash == shown_hash and token.replaced_at_ms is None
            else token
            for token in self.tokens
            if _is_accepted(token, stamp.at)
        ]
        current = [token for token in replaced if token.replaced_at_ms is None]
        former = [token for token in replaced if token.replaced_at_ms is not None]
        kept = (*former[-REPLACED_TOKENS_MAX:], *current[1 - CURRENT_TOKENS_MAX :], SessionToken(token_hash))
        return self._next(stamp, tokens=kept)

    def end(self, stamp: Stamp, *, because: str) -> Self:
        """The session after sign-out or misuse; the same object if it has already ended."""
        return self if self.ended_because is not None else self._next(stamp, ended_because=because)

    def _token(self, token_hash: str) -> SessionToken | None:
        return next((token for token in self.tokens if hmac.compare_digest(token.hash, token_hash)), None)


def _is_accepted(token: SessionToken, now: datetime) -> bool:
    return token.replaced_at_ms is None or _milliseconds(now - GRACE) < token.replaced_at_ms


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000)
