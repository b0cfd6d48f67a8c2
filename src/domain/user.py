"""An account and its profile."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, TypedDict

from domain.entity import Entity, Stamp, derived_id
from domain.errors import RuleBroken, Violation
from domain.name import require_name
from domain.storable import require_text

NAME_LENGTH_MAX = 200
EMAIL_LENGTH_MAX = 254
FIRST_USER_ID = derived_id("users", "first")
"""The id of the first account of an installation, so that of several at once only one is the first."""


class UserChanges(TypedDict, total=False):
    """The profile fields that a user can change; an absent field is unchanged."""

    name: str


def normal_email(email: str) -> str:
    """The e-mail address as it is compared: trimmed, lower case. Raises RuleBroken for a malformed address.

    Only ASCII is allowed, with the host in Punycode: beyond ASCII different letters have the same lower case, and an
    address with the kelvin sign must not match one with a k.
    """
    if not email.isascii():
        raise _malformed("may only have ASCII characters; write the host in Punycode (xn--…)")
    address = require_text(email.strip().lower(), "/email", shortest=3, longest=EMAIL_LENGTH_MAX)
    name, at, host = address.partition("@")
    if not (name and at and host) or "@" in host or not address.isprintable() or " " in address:
        raise _malformed("is not an e-mail address")
    return address


def name_in(address: str) -> str:
    """A name for a user without one: the address before the @, shortened to the length of a name."""
    return address.partition("@")[0][:NAME_LENGTH_MAX]


def _malformed(message: str) -> RuleBroken:
    return RuleBroken("This is not an e-mail address.", violations=[Violation("/email", message)])


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Entity):
    """An account. `grants` apply to the whole installation and are sorted."""

    email: str
    name: str
    grants: tuple[str, ...] = ()

    @classmethod
    def create(cls, id: str, stamp: Stamp, *, email: str, name: str, grants: tuple[str, ...] = ()) -> Self:
        """Version 1 of a user. Raises RuleBroken for an invalid address or name."""
        return cls._first(
            id,
            stamp,
            email=normal_email(email),
            name=require_name(name, "/name", longest=NAME_LENGTH_MAX),
            grants=tuple(sorted(grants)),
        )

    @property
    def present_grants(self) -> frozenset[str]:
        """The grants that apply now: none for a deleted account."""
        return frozenset() if self.is_deleted else frozenset(self.grants)

    def edit(self, stamp: Stamp, changes: UserChanges) -> Self:
        """The profile with these changes. Raises RuleBroken for an invalid name."""
        self.require_live()
        if "name" in changes:
            changes = {"name": require_name(changes["name"], "/name", longest=NAME_LENGTH_MAX)}
        return self._next(stamp, **changes)

    def grant(self, stamp: Stamp, grant: str) -> Self:
        """The user with this grant added."""
        return self._next(stamp, grants=tuple(sorted({*self.grants, grant})))

    def holding(self, stamp: Stamp, grants: Iterable[str]) -> Self:
        """The user with exactly these grants."""
        return self._next(stamp, grants=tuple(sorted(set(grants))))
