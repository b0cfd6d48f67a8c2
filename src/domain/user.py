"""An account and its profile."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from typing import Self, TypedDict
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.entity import Entity, Stamp, derived_id
from domain.errors import RuleBroken, Violation
from domain.name import require_name
from domain.storable import require_text

NAME_LENGTH_MAX = 200
EMAIL_LENGTH_MAX = 254
TIMEZONE_LENGTH_MAX = 64
TIMEZONE_DEFAULT = "UTC"
ZONES_MAX = 1_024
"""More than there are time zones."""
FIRST_USER_ID = derived_id("users", "first")
"""The id of the first account of an installation, so that of several at once only one is the first."""


class UserChanges(TypedDict, total=False):
    """The profile fields that a user can change; an absent field is unchanged."""

    name: str
    timezone: str | None


_OTHER_FILES = ("posix", "right/", "localtime", "Factory")
"""Files beside the time zones in their database."""
FIRST_INSTANT = datetime(1, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


@lru_cache(ZONES_MAX)
def zone_named(name: str) -> tzinfo | None:
    """The time zone with this IANA name; None if there is none. UTC exists also on systems without a database of time
    zones.
    """
    if name == TIMEZONE_DEFAULT:
        return UTC
    if name.startswith(_OTHER_FILES):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """The instant (UTC) at which the day begins in the zone; at the ends of the calendar the first or last instant."""
    midnight = datetime.combine(day, time(), tzinfo=zone)
    try:
        return midnight.astimezone(UTC)
    except OverflowError:
        return FIRST_INSTANT if day.year == 1 else LAST_INSTANT


def normal_email(email: str) -> str:
    """The e-mail address as it is compared: trimmed, lower case, without the dot that may end a host name. Raises
    RuleBroken for a malformed address.

    Only ASCII is allowed, with the host in Punycode: beyond ASCII different letters have the same lower case, and an
    address with the kelvin sign must not match one with a k.
    """
    if not email.isascii():
        raise _malformed("may only have ASCII characters; write the host in Punycode (xn--…)")
    address = require_text(
        email.strip().lower().removesuffix("."), "/email", shortest=3, longest=EMAIL_LENGTH_MAX
    )
    name, at, host = address.partition("@")
    if (
        not (name and at and host)
        or "@" in host
        or host.endswith(".")
        or not address.isprintable()
        or " " in address
    ):
        raise _malformed("is not an e-mail address")
    return address


def _timezone(name: str) -> str:
    if len(name) > TIMEZONE_LENGTH_MAX or zone_named(name) is None:
        violation = Violation("/timezone", "is not an IANA time zone such as Europe/Berlin or UTC")
        raise RuleBroken("There is no such time zone.", violations=[violation])
    return name


def name_in(address: str) -> str:
    """A name for a user without one: the address before the @, shortened to the length of a name."""
    return address.partition("@")[0][:NAME_LENGTH_MAX]


def _malformed(message: str) -> RuleBroken:
    return RuleBroken("This is not an e-mail address.", violations=[Violation("/email", message)])


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Entity):
    """An account. `grants` apply to the whole installation and are sorted. `timezone` (an IANA name) decides which day
    it is for the user: what is overdue, and what plain days in filters mean.
    """

    email: str
    name: str
    grants: tuple[str, ...] = ()
    timezone: str = TIMEZONE_DEFAULT

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
        """The profile with these changes; a null time zone becomes UTC. Raises RuleBroken for an invalid name or time
        zone.
        """
        self.require_live()
        fields: dict[str, str] = {}
        if "name" in changes:
            fields["name"] = require_name(changes["name"], "/name", longest=NAME_LENGTH_MAX)
        if "timezone" in changes:
            fields["timezone"] = _timezone(changes["timezone"] or TIMEZONE_DEFAULT)
        return self._next(stamp, **fields)

    @property
    def zone(self) -> tzinfo:
        """The time zone; UTC if this system does not know it (any more)."""
        return zone_named(self.timezone) or UTC

    def grant(self, stamp: Stamp, grant: str) -> Self:
        """The user with this grant added."""
        return self._next(stamp, grants=tuple(sorted({*self.grants, grant})))

    def holding(self, stamp: Stamp, grants: Iterable[str]) -> Self:
        """The user with exactly these grants."""
        return self._next(stamp, grants=tuple(sorted(set(grants))))
