"""How far a backfill is: control records of the target, each stored with the page that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.records.change_set import Put
from adapters.records.control_records import next_token
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL

WORKERS_MAX = 8
"""The most ranges of one collection."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Which target is filled: checkpoints of another installation, epoch or incarnation are void."""

    installation: str
    epoch: int
    incarnation: int

    @property
    def value(self) -> dict[str, object]:
        """As it is kept in a checkpoint."""
        return {"installation": self.installation, "epoch": self.epoch, "incarnation": self.incarnation}


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeCheckpoint:
    """One range of ids of one collection. Ids up to `after` are loaded; `until` is the last id, None for no end.

    `version` is that of the stored record, 0 before the first page.
    """

    collection: str
    number: int
    after: str | None = None
    until: str | None = None
    read: int = 0
    is_done: bool = False
    version: int = 0

    @property
    def id(self) -> str:
        """The id of the control record."""
        return checkpoint_id(self.collection, self.number)

    def passed(self, after: str | None, *, read: int, is_done: bool) -> "RangeCheckpoint":
        """The checkpoint after one more page."""
        version = next_token(self.version)
        return replace(self, after=after, read=self.read + read, is_done=is_done, version=version)

    def put_over(self, earlier: "RangeCheckpoint", destination: Destination) -> Put:
        """The put that replaces the earlier checkpoint."""
        value = {
            "destination": destination.value,
            "after": self.after,
            "until": self.until,
            "read": self.read,
            "isDone": self.is_done,
        }
        return Put(CONTROL.collection, {ID: self.id, VERSION: self.version, "value": value}, earlier.version)


def checkpoint_id(collection: str, number: int) -> str:
    """The id of the control record of one range."""
    return f"backfill:{collection}:{number}"


async def checkpoints_of(
    target: RecordStore, collection: str, destination: Destination
) -> list[RangeCheckpoint]:
    """The ranges of a collection that a backfill of this target has begun, in order. Raises StoreUnavailable."""
    known = await _stored(target, collection)
    return [
        _checkpoint(collection, number, record)
        for number, record in known.items()
        if record["value"]["destination"] == destination.value
    ]


async def ranges_of(
    target: RecordStore, collection: str, destination: Destination, ends: Sequence[str]
) -> list[RangeCheckpoint]:
    """The ranges to load: those begun, else new ones that end at `ends` and at no end. Raises StoreUnavailable."""
    begun = await checkpoints_of(target, collection, destination)
    if begun:
        return begun
    void = await _stored(target, collection)
    bounds = [None, *ends, None]
    return [
        RangeCheckpoint(
            collection=collection,
            number=number,
            after=bounds[number],
            until=bounds[number + 1],
            version=void[number][VERSION] if number in void else 0,
        )
        for number in range(len(ends) + 1)
    ]


async def _stored(target: RecordStore, collection: str) -> dict[int, Record]:
    ids = {checkpoint_id(collection, number): number for number in range(WORKERS_MAX)}
    found = await target.fetch(CONTROL.collection, list(ids))
    return {number: found[record_id] for record_id, number in ids.items() if record_id in found}


def _checkpoint(collection: str, number: int, record: Record) -> RangeCheckpoint:
    value: dict[str, Any] = record["value"]
    return RangeCheckpoint(
        collection=collection,
        number=number,
        after=value["after"],
        until=value["until"],
        read=value["read"],
        is_done=value["isDone"],
        version=record[VERSION],
    )
