"""An older copy of a former owner, which is to become a mirror again."""

from adapters.ownership import refusals
from adapters.records.criteria import Order, Question
from adapters.records.indexes import UNDELIVERED_ENTRIES
from adapters.records.record import ID
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import AUDIT_LOGS


async def require_nothing_of_its_own(copy: RecordStore, owner: RecordStore) -> None:
    """Raises StoreRefused if the copy, which takes no writes any more, holds changes that the owner lacks.

    Whatever the copy delivered before it was copied is marked in it. So only its undelivered entries can be missing in
    the owner: most were delivered after the copy was made, and a process that wrote into the copy left others.
    """
    name, after = AUDIT_LOGS.collection, None
    while True:
        question = Question(
            collection=name, where=UNDELIVERED_ENTRIES, order=Order(ID), after=after, limit=FETCH_MAX
        )
        page = [entry[ID] for entry in await copy.find(question)]
        known = await owner.fetch(name, page) if page else {}
        if missing := [entry_id for entry_id in page if entry_id not in known]:
            raise refusals.former_owner_with_writes(copy.name, owner.name, missing)
        if len(page) < FETCH_MAX:
            return
        after = (page[-1], page[-1])
