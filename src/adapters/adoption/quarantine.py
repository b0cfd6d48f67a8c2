"""The quarantine of an adoption: documents that became no record, each in a control record of the store."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.adoption.plan import Plan
from adapters.records.adoption_state import ADOPTION_QUARANTINE, IS_RESOLVED
from adapters.records.change_set import ChangeSet, Put
from adapters.records.control_records import controls_with
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import REASON_LENGTH_MAX, RecordStore
from adapters.records.specs import CONTROL
from application.ports.adoption import SetAside
from domain.errors import Conflict

RAW_LENGTH_MAX: Final = 1_000_000
"""The characters of a document that are kept in quarantine; the whole document stays in its own collection."""
QUARANTINE_MAX: Final = 10_000
"""More documents than this are no exceptions: the database has other collections or fields, or something has to be
repaired first.
"""
TOO_LATE: Final = (
    "It was corrected after the adoption, but it belongs to a record that people may have changed since, or that does"
    " not exist. Make the change in Tandem."
)


def require_exceptions(set_aside: Sequence[SetAside]) -> None:
    """Raises Conflict for more documents than the quarantine takes."""
    if len(set_aside) > QUARANTINE_MAX:
        raise Conflict(
            f"{len(set_aside)} documents cannot be taken over, which is too many to be exceptions (at most"
            f" {QUARANTINE_MAX}). Correct them, and look again: tandem adopt --dry-run"
        )


class QuarantinedDocuments:
    """The documents in quarantine in this store. Every method raises StoreUnavailable."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    async def corrected(self, plan: Plan) -> Mapping[str, Sequence[Record]]:
        """The control records of documents that can be taken over by now, by the id of the document."""
        still = {_id_of(one) for one in plan.set_aside}
        found: dict[str, list[Record]] = defaultdict(list)
        for record in _unresolved(await self._held()):
            if record[ID] not in still:
                found[record["value"]["id"]].append(record)
        return found

    async def keep(self, plan: Plan, *, is_done: bool) -> Sequence[SetAside]:
        """Makes the documents that are set aside the quarantine, and returns it. What was corrected too late
        (`is_done`) stays in it, what was removed from its collection does not.
        """
        held = await self._held()
        kept = {_id_of(one): one for one in plan.set_aside}
        for record in _unresolved(held):
            value = record["value"]
            if record[ID] in kept:
                continue
            if is_done and value["id"] in plan.present:
                kept[record[ID]] = SetAside(
                    collection=value["collection"], id=value["id"], reason=TOO_LATE, raw=value["raw"]
                )
            else:
                await self._store.commit(ChangeSet((resolved(record),)))
        for id, one in kept.items():
            await self._put(id, one, held.get(id))
        return list(kept.values())

    async def _put(self, id: str, one: SetAside, held: Record | None) -> None:
        value: dict[str, Any] = {
            "collection": one.collection,
            "id": one.id,
            "reason": one.reason[:REASON_LENGTH_MAX],
            "raw": one.raw[:RAW_LENGTH_MAX],
            IS_RESOLVED: False,
        }
        if held is not None and held["value"] == value:
            return
        version = 0 if held is None else int(held[VERSION])
        record: Record = {ID: id, VERSION: version + 1, "value": value}
        await self._store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))

    async def _held(self) -> dict[str, Record]:
        return await controls_with(self._store, ADOPTION_QUARANTINE)


def resolved(held: Record) -> Put:
    """The end of the quarantine of a document."""
    version = int(held[VERSION])
    record: Record = {ID: held[ID], VERSION: version + 1, "value": {**held["value"], IS_RESOLVED: True}}
    return Put(CONTROL.collection, record, version)


def _id_of(one: SetAside) -> str:
    return f"{ADOPTION_QUARANTINE}{one.collection}:{one.id}"


def _unresolved(held: Mapping[str, Record]) -> list[Record]:
    return [record for record in held.values() if not record["value"][IS_RESOLVED]]
