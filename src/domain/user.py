"""An account and its profile."""

from dataclasses import dataclass
from typing import Self, TypedDict

from domain.entity import Entity, Stamp, first_stamps
from domain.errors import Fault, RuleBroken
from domain.storable import require_text

NAME_LENGTH_MAX = 200
EMAIL_LENGTH_MAX = 254


class UserChanges(TypedDict, total=False):
    """The profile fields a person may change; absent means unchanged."""

    name: str


def normal_email(email: str) -> str:
    """The form in which e-mail addresses are compared: trimmed, lower case. Raises RuleBroken for no address."""
    address = require_text(email.strip().lower(), "/email", shortest=3, longest=EMAIL_LENGTH_MAX)
    name, at, host = address.partition("@")
    if not (name and at and host) or "@" in host or any(char.isspace() for char in address):
        raise RuleBroken(
            "This is not an e-mail address.", faults=[Fault("/email", "is not an e-mail address")]
        )
    return address


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Entity):
    """Somebody who signs in. `grants` are installation-wide, sorted."""

    email: str
    name: str
    grants: tuple[str, ...] = ()

    @classmethod
    def create(cls, id: str, stamp: Stamp, *, email: str, name: str, grants: tuple[str, ...] = ()) -> Self:
        """Version 1 of a user. Raises RuleBroken for a malformed address or name."""
        return cls(
            **first_stamps(id, stamp),  # type: ignore[arg-type]
            email=normal_email(email),
            name=require_text(name, "/name", shortest=1, longest=NAME_LENGTH_MAX),
            grants=tuple(sorted(grants)),
        )

    def edit(self, stamp: Stamp, changes: UserChanges) -> Self:
        """The profile with these changes. Raises RuleBroken for a name that does not fit."""
        self.require_live()
        if "name" in changes:
            require_text(changes["name"], "/name", shortest=1, longest=NAME_LENGTH_MAX)
        return self._next(stamp, **changes)

    def grant(self, stamp: Stamp, grant: str) -> Self:
        """The user holding this grant as well."""
        return self._next(stamp, grants=tuple(sorted({*self.grants, grant})))
