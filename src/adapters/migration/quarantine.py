"""Records that cannot be carried over: control records of the source, until a person decides about each."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from adapters.records.change_set import ChangeSet, Put
from adapters.records.control_records import next_token
from adapters.records.record import ID, VERSION, Record, instant_text
from adapters.records.record_store import REASON_LENGTH_MAX, RecordStore
from adapters.records.specs import CONTROL
from application.ports.migration import Quarantined
from domain.errors import Conflict, NotFound

PREFIX = "quarantine:"
QUARANTINE_MAX = 1_000
"""More records than this are no exceptions: something about the source or the target has to be repaired first."""
RAW_LENGTH_MAX = 16_384
"""The characters of a record that are kept."""
PAGE = 200


class Decision(StrEnum):
    """What became of a quarantined record."""

    FIX = "fix"
    """It was loaded after all."""
    SKIP = "skip"
    """It stays behind, for a stated reason."""


class Quarantine:
    """The quarantined records of a source. Every method raises StoreUnavailable."""

    def __init__(self, source: RecordStore, *, quarantine_max: int = QUARANTINE_MAX) -> None:
        self._source = source
        self._max = quarantine_max

    async def all(self) -> list[Quarantined]:
        """Those that are undecided or skipped, by id; at most the maximum."""
        return [one async for one in self._held() if one.decision != Decision.FIX]

    async def undecided_in(self, collection: str) -> list[str]:
        """The ids of a collection's records that nobody has decided about."""
        return [
            one.record_id for one in await self.all() if one.collection == collection and one.decision is None
        ]

    async def add(self, collection: str, record_id: str, *, reason: str, raw: str) -> None:
        """Keeps a record. A decision to skip it is void once its content is another one.

        Raises Conflict above the maximum.
        """
        held = await self.all()
        known = next((one for one in held if one.id == quarantine_id(collection, record_id)), None)
        if known is None and len(held) >= self._max:
            raise Conflict(
                f"More than {self._max} records cannot be carried over; the last one is {collection} {record_id}: "
                f"{reason} Run `tandem move preflight`, repair what it names, and run the backfill again."
            )
        kept = known or Quarantined(
            id=quarantine_id(collection, record_id),
            collection=collection,
            record_id=record_id,
            reason="",
            raw="",
        )
        if kept.decision is not None and kept.raw != raw[:RAW_LENGTH_MAX]:
            kept = replace(kept, decision=None, decided_because=None, content=None, held_by=None)
        await self._put(replace(kept, reason=reason[:REASON_LENGTH_MAX], raw=raw[:RAW_LENGTH_MAX]))

    async def one(self, id: str) -> Quarantined:
        """The quarantined record with this id. Raises NotFound."""
        record = (await self._source.fetch(CONTROL.collection, [id])).get(id)
        if record is None or not id.startswith(PREFIX):
            raise NotFound(f"There is no quarantined record {id}. Run `tandem move quarantine list`.")
        return _quarantined(record)

    async def note(
        self,
        id: str,
        decision: Decision,
        *,
        because: str,
        content: str | None = None,
        held_by: str | None = None,
    ) -> Quarantined:
        """Keeps a decision. Raises NotFound."""
        decided = replace(
            await self.one(id),
            decision=decision.value,
            decided_because=because[:REASON_LENGTH_MAX],
            content=content,
            held_by=held_by,
        )
        await self._put(decided)
        return decided

    async def release(self, collection: str, record_id: str) -> None:
        """Notes that a record was loaded after all. Harmless for one that is not in quarantine."""
        id = quarantine_id(collection, record_id)
        if id in await self._source.fetch(CONTROL.collection, [id]):
            await self.note(id, Decision.FIX, because="It was loaded when it was tried again.")

    async def _held(self) -> AsyncIterator[Quarantined]:
        after = PREFIX
        while True:
            page = await self._source.scan(CONTROL.collection, after=after, limit=PAGE)
            for record in page:
                if not record[ID].startswith(PREFIX):
                    return
                yield _quarantined(record)
            if len(page) < PAGE:
                return
            after = page[-1][ID]

    async def _put(self, kept: Quarantined) -> None:
        held = (await self._source.fetch(CONTROL.collection, [kept.id])).get(kept.id)
        expected = 0 if held is None else int(held[VERSION])
        version = next_token(expected)
        value = {
            "collection": kept.collection,
            "recordId": kept.record_id,
            "reason": kept.reason,
            "raw": kept.raw,
            "decision": kept.decision,
            "because": kept.decided_because,
            "content": kept.content,
            "heldBy": kept.held_by,
        }
        record: Record = {ID: kept.id, VERSION: version, "value": value}
        await self._source.commit(ChangeSet((Put(CONTROL.collection, record, expected),)))


def raw_text(record: Record) -> str:
    """A record as extended JSON, with the type of each value that JSON does not know."""
    return msgspec.json.encode(_extended(record)).decode(errors="replace")[:RAW_LENGTH_MAX]


def _extended(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _extended(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_extended(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _extended_scalar(value)


def _extended_scalar(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$date": instant_text(value)}
    if isinstance(value, bytes):
        return {"$binary": b64encode(value).decode()}
    if isinstance(value, str):
        # A control record must be storable whatever the text holds.
        return value.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
    return {f"${type(value).__name__}": str(value)}


def quarantine_id(collection: str, record_id: str) -> str:
    """The id of the control record that keeps a record."""
    return f"{PREFIX}{collection}:{record_id}"


def _quarantined(record: Record) -> Quarantined:
    value = record["value"]
    return Quarantined(
        id=record[ID],
        collection=value["collection"],
        record_id=value["recordId"],
        reason=value["reason"],
        raw=value["raw"],
        decision=value["decision"],
        decided_because=value["because"],
        content=value.get("content"),
        held_by=value.get("heldBy"),
    )
