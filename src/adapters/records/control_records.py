"""Control records: what Tandem itself keeps in a store. They have a version like all records, and no audit entries."""

import secrets
from typing import Any

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import CONTROL

TOKEN_BITS = 40
"""The random part of a version; the part above it counts."""
DISPLAY_NUMBERS_ID = "display-numbers"
RESERVED = "reserved"
"""In the control record of display numbers: the highest one that any process has reserved."""


async def read_control(store: RecordStore, id: str) -> tuple[int, dict[str, Any] | None]:
    """The version and the value of a control record; 0 and None if there is none. Raises StoreUnavailable."""
    record = (await store.fetch(CONTROL.collection, [id])).get(id)
    return (0, None) if record is None else (int(record[VERSION]), record["value"])


async def write_control(store: RecordStore, id: str, value: dict[str, Any], *, over: int) -> None:
    """Replaces the version that was read, or adds the record over version 0. Raises VersionConflict if another process
    was faster, and StoreUnavailable.
    """
    record: Record = {ID: id, VERSION: over + 1, "value": value}
    await store.commit(ChangeSet((Put(CONTROL.collection, record, over),)))


async def controls_with(store: RecordStore, prefix: str) -> dict[str, Record]:
    """The control records whose ids begin with this, by id. Raises StoreUnavailable."""
    found: dict[str, Record] = {}
    after = prefix
    while page := await store.scan(CONTROL.collection, after=after, limit=FETCH_MAX):
        found |= {record[ID]: record for record in page if record[ID].startswith(prefix)}
        after = page[-1][ID]
        if not after.startswith(prefix):
            break
    return found


def next_token(token: int) -> int:
    """A random token above this one."""
    return ((token >> TOKEN_BITS) + 1) << TOKEN_BITS | secrets.randbits(TOKEN_BITS)
