"""Adoptions of the sample into a store in this process."""

from typing import Any

from adapters.adoption.plan import Plan
from adapters.adoption.storing import Adoption
from adapters.records.adoption_state import ADOPTION_QUARANTINE, IS_RESOLVED
from adapters.records.change_set import ChangeSet, LaneStamp
from adapters.records.control_records import controls_with
from adapters.records.record import Record
from adapters.records.specs import SPECS
from adapters.records.wrapped_store import WrappedStore
from domain.errors import StoreUnavailable
from tests.unit.adapters.adoption.originals import AT, Documents, planned
from tests.unit.memory_store import MemoryRecordStore
from tools.todo_database import duplicates, malformed, sample

PLAN = planned(sample(12), duplicates(), malformed())
DATABASE = "todo-app"


class DyingStore(WrappedStore):
    """Ends at the commit with this number: before it is stored, or after that and before anybody knows."""

    def __init__(self, inner: MemoryRecordStore, *, lives: int, is_stored: bool) -> None:
        super().__init__(inner)
        self._lives, self._is_stored = lives, is_stored

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        self._lives -= 1
        if self._lives >= 0:
            return await self._inner.commit(change_set)
        if self._is_stored:
            await self._inner.commit(change_set)
        raise StoreUnavailable("The process has ended.")


async def adopt(store: Any, plan: Plan = PLAN) -> int:
    """A whole adoption; returns how many records it wrote."""
    adoption = Adoption(store, database=DATABASE)
    begun = await adoption.begin(AT)
    written = await adoption.store(plan, begun, lambda _done, _total: None)
    assert await adoption.differences(plan, begun) == []
    await adoption.keep_quarantine(plan, begun)
    await adoption.complete(plan, begun)
    return written


async def contents(store: MemoryRecordStore) -> dict[str, list[Record]]:
    """Everything that the store holds."""
    return {name: await store.scan(name, after=None, limit=5_000) for name in SPECS}


async def quarantined_in(store: MemoryRecordStore) -> set[str]:
    """The ids of the documents in quarantine."""
    held = await controls_with(store, ADOPTION_QUARANTINE)
    return {one["value"]["id"] for one in held.values() if not one["value"][IS_RESOLVED]}


async def interrupted(store: MemoryRecordStore, plan: Plan) -> None:
    """An adoption that stored everything and was not completed."""
    begun = await Adoption(store, database=DATABASE).begin(AT)
    await Adoption(store, database=DATABASE).store(plan, begun, lambda _done, _total: None)


async def entries_about(store: MemoryRecordStore, id: str) -> list[Record]:
    """The entries about a record, by version."""
    found = [one for one in await store.scan("audit_logs", after=None, limit=5_000) if one["entityId"] == id]
    return sorted(found, key=lambda one: int(one["version"]))


def without(documents: Documents, collection: str, id: object) -> Documents:
    """The documents without one of them."""
    left = [one for one in documents[collection] if one["_id"] != id]
    return {**documents, collection: left}
