"""An API token: a named key with which a script acts for the person who owns it."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from domain.entity import Entity, Stamp
from domain.errors import RuleBroken, Unauthenticated, Violation
from domain.name import require_name

NAME_LENGTH_MAX = 100
TOKENS_MAX = 50
"""How many API tokens a person can have at a time."""
USE_PRECISION = timedelta(minutes=1)
"""How exactly the last use is known: more often it would cost a write for each request."""


class Scope(StrEnum):
    """What an API token may be used for. A token never has more rights than its owner has at the time."""

    READ = "read"
    """Safe methods."""
    WRITE = "write"
    """All methods, so it includes READ."""
    ADMIN = "admin"
    """Also the rights that rest on a global role of the owner, with the methods that READ or WRITE allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken(Entity):
    """`token_hash` is the hash of the whole token, which nobody can see again. `expires_at` None: it does not expire.

    `last_used_at` is as exact as USE_PRECISION.
    """

    user_id: str
    name: str
    scopes: tuple[Scope, ...]
    token_hash: str
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    @classmethod
    def create(
        cls,
        id: str,
        stamp: Stamp,
        *,
        name: str,
        scopes: Iterable[Scope],
        token_hash: str,
        expires_at: datetime | None,
    ) -> Self:
        """Version 1 of a token, owned by whoever the stamp names. Raises RuleBroken for an invalid field."""
        return cls._first(
            id,
            stamp,
            user_id=stamp.by,
            name=require_name(name, "/name", longest=NAME_LENGTH_MAX),
            scopes=_checked_scopes(scopes),
            token_hash=token_hash,
            expires_at=_checked_end(expires_at, stamp.at),
        )

    def allows(self, scope: Scope) -> bool:
        """Whether it may be used for this."""
        return scope in self.scopes or (scope is Scope.READ and Scope.WRITE in self.scopes)

    def require_valid(self, token_hash: str, now: datetime) -> None:
        """Raises Unauthenticated unless this is the hash of the token, and the token can be used. Only those who have
        the whole token learn why it cannot be used.
        """
        if not hmac.compare_digest(self.token_hash, token_hash):
            raise Unauthenticated("This is not an API token of this installation.")
        if self.is_deleted:
            raise Unauthenticated("This API token was deleted; create a new one.")
        if self.expires_at is not None and self.expires_at <= now:
            raise Unauthenticated(f"This API token expired on {self.expires_at:%Y-%m-%d}; create a new one.")

    def used(self, stamp: Stamp) -> Self:
        """The token after a use; the same object if the use before was less than USE_PRECISION ago."""
        if self.last_used_at is not None and stamp.at < self.last_used_at + USE_PRECISION:
            return self
        return self._next(stamp, last_used_at=stamp.at)


def _checked_scopes(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    chosen = set(scopes)
    if not chosen & {Scope.READ, Scope.WRITE}:
        message = f"must contain {Scope.READ} or {Scope.WRITE}"
        raise RuleBroken(
            "An API token needs a scope that allows requests.", violations=[Violation("/scopes", message)]
        )
    return tuple(scope for scope in Scope if scope in chosen)


def _checked_end(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is not None and expires_at <= now:
        raise RuleBroken(
            "An API token must end in the future.", violations=[Violation("/expiresAt", "is in the past")]
        )
    return expires_at
