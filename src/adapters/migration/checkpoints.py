"""How far a backfill is: control records of the target, each stored with the page that it is about.

The first range of a collection is stored last, so that either all ranges are known or none is.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from adapters.records.change_set import Put
from adapters.records.control_records import next_token
from adapters.records.lanes import ProcessIdentity
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL

RANGES_MAX = 8
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


@dataclass(frozen=True, slots=True)
class Claim:
    """Which process loads a range, in which run of the backfill."""

    by: ProcessIdentity
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeCheckpoint:
    """One of the `count` ranges of ids of one collection. Ids up to `after` are loaded; `until` is the last id, None
    for no end. `version` is that of the stored record, 0 before it is stored.
    """

    collection: str
    number: int
    count: int = 1
    after: str | None = None
    until: str | None = None
    read: int = 0
    is_done: bool = False
    claim: Claim | None = None
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
            "count": self.count,
            "claim": None if self.claim is None else asdict(self.claim),
        }
        return Put(CONTROL.collection, {ID: self.id, VERSION: self.version, "value": value}, earlier.version)


def checkpoint_id(collection: str, number: int) -> str:
    """The id of the control record of one range."""
    return f"backfill:{collection}:{number}"


async def checkpoints_of(
    target: RecordStore, collection: str, destination: Destination
) -> list[RangeCheckpoint]:
    """The ranges of a collection that a backfill of this target has begun, in order. Raises StoreUnavailable."""
    known = [
        _checkpoint(collection, number, record)
        for number, record in (await _stored(target, collection)).items()
        if record["value"]["destination"] == destination.value
    ]
    return known[: known[0].count] if known and known[0].number == 0 else []


async def stored_again(
    target: RecordStore, held: RangeCheckpoint, destination: Destination
) -> RangeCheckpoint | None:
    """The range as it is stored now; None if it is not. Raises StoreUnavailable."""
    record = (await _stored(target, held.collection)).get(held.number)
    if record is None or record["value"]["destination"] != destination.value:
        return None
    return _checkpoint(held.collection, held.number, record)


async def new_ranges(target: RecordStore, collection: str, ends: Sequence[str]) -> list[RangeCheckpoint]:
    """Ranges that end at `ends` and at no end, to be stored over those of another backfill. Raises StoreUnavailable."""
    void = await _stored(target, collection)
    bounds = [None, *ends, None]
    return [
        RangeCheckpoint(
            collection=collection,
            number=number,
            count=len(ends) + 1,
            after=bounds[number],
            until=bounds[number + 1],
            version=void[number][VERSION] if number in void else 0,
        )
        for number in range(len(ends) + 1)
    ]


async def _stored(target: RecordStore, collection: str) -> dict[int, Record]:
    ids = {checkpoint_id(collection, number): number for number in range(RANGES_MAX)}
    found = await target.fetch(CONTROL.collection, list(ids))
    return {number: found[record_id] for record_id, number in ids.items() if record_id in found}


def _checkpoint(collection: str, number: int, record: Record) -> RangeCheckpoint:
    value: dict[str, Any] = record["value"]
    return RangeCheckpoint(
        collection=collection,
        number=number,
        count=value["count"],
        after=value["after"],
        until=value["until"],
        read=value["read"],
        is_done=value["isDone"],
        claim=_claim(value["claim"]),
        version=record[VERSION],
    )


def _claim(value: dict[str, Any] | None) -> Claim | None:
    return None if value is None else Claim(ProcessIdentity(**value["by"]), value["run"])
