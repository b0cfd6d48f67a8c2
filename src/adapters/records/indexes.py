"""Indexes and unique keys of a collection, in the terms of its records."""

from dataclasses import dataclass
from enum import Enum

from adapters.records.criteria import AnyOf, IsNull, OneOf, Scalar
from adapters.records.record import IS_DELETED
from domain.audit import SyncStatus

UNDELIVERED = (SyncStatus.PENDING.value, SyncStatus.FAILED.value, SyncStatus.PARKED.value)
"""The sync statuses of entries that are still to be mirrored."""
UNDELIVERED_ENTRIES = AnyOf((IsNull("syncStatus"), OneOf("syncStatus", UNDELIVERED)))
"""The entries that the target has not confirmed, those without a mark included."""

Held = dict[str, tuple[Scalar | None, ...]]


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """Values that only one record may hold. Records where one of the fields is null never collide;
    `live_only` keys ignore the trash.
    """

    name: str
    fields: tuple[str, ...]
    live_only: bool = False


class Scope(Enum):
    """Which records an index holds. Every index costs every write, so an index holds only records that are queried."""

    ALL = "all"
    LIVE = "live"
    """Records outside the trash; nearly all questions exclude the trash."""
    TRASH = "trash"
    UNDELIVERED = "undelivered"
    """Entries that are still to be mirrored, those without a mark included: with a mirror few, and normally none."""

    @property
    def held(self) -> Held:
        """The fields that decide whether a record is in the scope, each with the values it may have there; None is for
        null.
        """
        return _HELD[self]


_HELD: dict[Scope, Held] = {
    Scope.ALL: {},
    Scope.LIVE: {IS_DELETED: (False,)},
    Scope.TRASH: {IS_DELETED: (True,)},
    Scope.UNDELIVERED: {"syncStatus": (None, *UNDELIVERED)},
}


@dataclass(frozen=True, slots=True)
class Index:
    """Fields that questions filter or order by, in this order; each question also breaks ties by id.

    The index leaves out records outside its scope, and records whose first field is null: no question looks for those.
    """

    name: str
    fields: tuple[str, ...]
    scope: Scope = Scope.ALL
