"""Documents of another service as an adoption reads them, without a server."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import bson
from bson.json_util import CANONICAL_JSON_OPTIONS, loads

from adapters.adoption.plan import Plan, Planned, plan_of
from adapters.mongo.original_documents import original_of
from adapters.records.adoption_state import State
from adapters.records.originals import Original
from adapters.records.record import Record
from application.ports.migration import Finding

AT = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
"""The time of every adoption."""

TYPED = CANONICAL_JSON_OPTIONS.with_options(tz_aware=True, tzinfo=UTC)

Documents = Mapping[str, Sequence[Mapping[str, Any]]]


def originals_of(*parts: Documents) -> dict[str, list[Original]]:
    """The originals with the bytes that a server would send."""
    found: dict[str, list[Original]] = {}
    for documents in parts:
        for collection, each in documents.items():
            read = [original_of(collection, bson.encode(document)) for document in each]
            found.setdefault(collection, []).extend(read)
    return found


def planned(*parts: Documents) -> Plan:
    """The plan for these documents."""
    return plan_of(originals_of(*parts), at=AT)


def record(plan: Plan, collection: str, record_id: object) -> dict[str, Any]:
    """One planned record."""
    (found,) = [one for one in plan.records if (one.collection, one.id) == (collection, str(record_id))]
    return found.record


def live(plan: Plan, collection: str) -> list[Planned]:
    """The planned records outside the trash."""
    return [one for one in plan.records if one.collection == collection and not one.record["isDeleted"]]


def kept(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a record keeps of its documents, with the types of BSON."""
    values: dict[str, Any] = {}
    for part in found.get("original", ()):
        values |= loads(part["fields"], json_options=TYPED)
    return values


def finding(plan: Plan, code: str, collection: str) -> Finding:
    """The finding of this kind; an assertion error where there is none."""
    found = [one for one in plan.findings if (one.code, one.collection) == (code, collection)]
    assert found, json.dumps([(one.code, one.collection) for one in plan.findings])
    return found[0]


class Database:
    """The port Originals over documents in this process; `own` are Tandem's collections in it, `state` is the mark."""

    own_prefix = "tandem."

    def __init__(
        self,
        *parts: Documents,
        name: str = "todo-app",
        own: Sequence[str] = (),
        state: State | None = None,
    ) -> None:
        self.database, self._own, self._state = name, own, state
        self._originals = originals_of(*parts)

    async def collections(self) -> Sequence[str]:
        return sorted(self._originals)

    async def is_tandems(self) -> bool:
        return "control" in self._own

    async def is_marked(self) -> bool:
        return "tandem.control" in self._own

    async def marked_state(self) -> State | None:
        return self._state

    async def count(self, collection: str) -> int:
        return len(self._originals[collection])

    async def documents(self, collection: str) -> AsyncIterator[Original]:
        for original in self._originals[collection]:
            yield original

    async def mark(self, note: Record) -> None:
        raise AssertionError("nothing here marks a database")

    async def complete_mark(self) -> None:
        raise AssertionError("nothing here is marked")
