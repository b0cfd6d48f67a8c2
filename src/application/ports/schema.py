"""The schemas of the stores and their migrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """The revision of one store (None before the first), and the one that this program expects."""

    store: str
    revision: str | None
    expected: str

    @property
    def is_current(self) -> bool:
        """Whether the store has the expected revision."""
        return self.revision == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRecords:
    """The records of one collection in one store that have an older schema, among those that were read (`looked_at`).

    `waiting` records are converted when read and stored with their next change; `unfit` ones cannot be read, because a
    required field is missing or a value is unknown. `is_complete` is False if the collection has more records.
    """

    store: str
    collection: str
    looked_at: int
    waiting: int
    unfit: int
    rewritten: int
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfPlace:
    """What one collection holds where this program does not look for it, of the records that were looked at: tasks that
    do not repeat whose they are or who does them, watches and memberships under ids of an older version.

    `waiting` are out of place still, `placed` were put in place. Not complete means that the collection holds more.
    """

    collection: str
    looked_at: int
    waiting: int
    placed: int
    is_complete: bool


class Schema(Protocol):
    """The schemas of all stores in use. All methods raise StoreUnavailable if a store does not answer."""

    async def states(self) -> Sequence[SchemaState]:
        """The revision of every store; changes nothing."""

    async def upgrade(self) -> Sequence[SchemaState]:
        """Brings every store to the expected revision and creates what is missing. May be repeated."""

    async def waiting(self) -> Sequence[OldRecords]:
        """The old records of every collection, in every store whose schema can be read; reads a bounded number."""

    async def out_of_place(self) -> Sequence[OutOfPlace]:
        """What is out of place in the store that owns the writes, where its schema can be read; a bounded number of
        records is looked at.
        """

    async def rewrite(self) -> Sequence[OldRecords]:
        """Converts every old record without a new version; answers the rest. May be repeated, also during writes."""

    async def downgrade(self) -> Sequence[SchemaState]:
        """Takes every store back by one revision, if it has an earlier one. Raises Conflict if no store has."""
