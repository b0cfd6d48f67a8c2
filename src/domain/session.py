"""A session: one sign-in and its chain of refresh tokens."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from domain.entity import Entity, Stamp

SIGNED_OUT = "signed out"
REUSED = "an older refresh token was shown again"
USER_GONE = "the user is gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Entity):
    """`token_hash` belongs to the current refresh token. Presenting an older token ends the session.

    `expires_at` is fixed at sign-in: refreshing does not move it.
    """

    user_id: str
    token_hash: str
    expires_at: datetime
    ended_because: str | None = None

    @classmethod
    def create(cls, id: str, stamp: Stamp, *, user_id: str, token_hash: str, expires_at: datetime) -> Self:
        """Version 1 of a session."""
        return cls._first(id, stamp, user_id=user_id, token_hash=token_hash, expires_at=expires_at)

    def is_open(self, now: datetime) -> bool:
        """Whether the session can still be refreshed."""
        return not self.is_deleted and self.ended_because is None and now < self.expires_at

    def is_current(self, token_hash: str) -> bool:
        """Whether this is the hash of the current refresh token."""
        return hmac.compare_digest(self.token_hash, token_hash)

    def refresh(self, stamp: Stamp, *, token_hash: str) -> Self:
        """The session with its next refresh token."""
        self.require_live()
        return self._next(stamp, token_hash=token_hash)

    def end(self, stamp: Stamp, *, because: str) -> Self:
        """The session after sign-out or misuse; the same object if it has already ended."""
        return self if self.ended_because is not None else self._next(stamp, ended_because=because)
