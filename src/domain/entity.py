"""The base of every entity: identity, version, stamps and trash."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from domain.errors import Conflict, VersionConflict

ID_LENGTH = 24
_HEX_DIGITS = frozenset("0123456789abcdef")

STAMP_FIELDS = frozenset(
    {"id", "version", "created_at", "created_by", "updated_at", "updated_by"},
)
TRASH_FIELDS = frozenset({"is_deleted", "deleted_at", "deleted_by"})


def is_id(text: str) -> bool:
    """Whether the text has the form of an identifier: 24 lower-case hex digits."""
    return len(text) == ID_LENGTH and _HEX_DIGITS.issuperset(text)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The user who makes a change, and the time (aware, whole milliseconds)."""

    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A record with a history. Every change is a method that returns the next version."""

    id: str
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    is_deleted: bool = False
    deleted_at: datetime | None = None
    deleted_by: str | None = None

    @classmethod
    def _first(cls, id: str, stamp: Stamp, **fields: object) -> Self:
        """Version 1 with these fields."""
        return cls(
            id=id,
            version=1,
            created_at=stamp.at,
            created_by=stamp.by,
            updated_at=stamp.at,
            updated_by=stamp.by,
            **fields,  # type: ignore[arg-type]
        )

    def _next(self, stamp: Stamp, **fields: object) -> Self:
        """The next version with these fields, or the same object if nothing differs."""
        if all(getattr(self, name) == value for name, value in fields.items()):
            return self
        return replace(self, version=self.version + 1, updated_at=stamp.at, updated_by=stamp.by, **fields)  # type: ignore[arg-type]

    @property
    def trash_stamp(self) -> Stamp | None:
        """The stamp under which it was moved to the trash; None if it is live or the stamp is unknown."""
        if self.deleted_at is None or self.deleted_by is None:
            return None
        return Stamp(self.deleted_at, self.deleted_by)

    def delete(self, stamp: Stamp) -> Self:
        """The entity in the trash. Raises Conflict if it is already there."""
        if self.is_deleted:
            raise Conflict("This is already in the trash.")
        return self._next(stamp, is_deleted=True, deleted_at=stamp.at, deleted_by=stamp.by)

    def begin_time_in_trash(self, stamp: Stamp) -> Self:
        """The entity in the trash from now on: another service deleted it before this installation had it."""
        return self._next(stamp, deleted_at=stamp.at)

    def restore(self, stamp: Stamp) -> Self:
        """The entity restored from the trash. Raises Conflict if it is not there."""
        if not self.is_deleted:
            raise Conflict("This is not in the trash.")
        return self._next(stamp, is_deleted=False, deleted_at=None, deleted_by=None)

    def roll_back_to(self, earlier: Self, stamp: Stamp) -> Self:
        """A new version with the content of an earlier one. Raises Conflict for an entity in the trash."""
        self.require_live()
        kept = STAMP_FIELDS | TRASH_FIELDS
        content = {name: getattr(earlier, name) for name in self.__dataclass_fields__ if name not in kept}
        return self._next(stamp, **content)

    def require_version(self, expected: int | None) -> None:
        """Raises VersionConflict unless this is the expected version; None accepts any version."""
        if expected is not None and expected != self.version:
            raise VersionConflict(current_version=self.version, entity_id=self.id)

    def require_live(self) -> None:
        """Raises Conflict for an entity in the trash: it must be restored before it can change."""
        if self.is_deleted:
            raise Conflict("This is in the trash; restore it first.")


def derived_id(*parts: str) -> str:
    """An id computed from these parts, for entities that must be found again under the same id."""
    return hashlib.sha256(":".join(parts).encode()).hexdigest()[:ID_LENGTH]
