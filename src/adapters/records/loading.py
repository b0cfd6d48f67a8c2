"""Bulk loading: what a backfill writes, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from adapters.records.change_set import Put, Rejection
from adapters.records.record import Record

LOAD_MAX = 5_000
"""The most records in one page."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The outcome of one page: how many records were newer than what was stored, and which were rejected, by id."""

    written: int
    rejected: dict[str, Rejection] = field(default_factory=dict)


class BulkLoader(Protocol):
    """A store that takes pages of records."""

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        """Stores each record where the stored version is lower, as `apply` does, and entries where they are new.

        At most LOAD_MAX records of one collection. They and the checkpoint (a control record) are one transaction by a
        lane of this process. Records that the store rejects are left out and named; the others are stored all the
        same. Idempotent and independent of order. Raises StoreUnavailable, and LaneLost as `apply_by_lane` does.
        """
        ...
