"""The schema of every store in use: PostgreSQL's by its migrations, other stores' by a digest of what the specs ask."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress

from adapters.records.change_set import ChangeSet, Put
from adapters.records.old_records import Upgradable, rewritten_in, waiting_in
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.revisions import Revisioned
from adapters.records.specs import ALL_SPECS, CONTROL, ENTITY_SPECS
from application.ports.schema import OldRecords, SchemaState
from domain.errors import Conflict, VersionConflict
from entrypoints.composition.failures import UnmigratedStore

REVISION_ID = "schema"
REWRITTEN_ID = "old-records-rewritten"


class StoreSchema:
    """The port Schema over opened stores, the one that owns the writes first."""

    def __init__(self, stores: Sequence[RecordStore]) -> None:
        self._stores = stores

    async def states(self) -> Sequence[SchemaState]:
        return [await state_of(store) for store in self._stores]

    async def upgrade(self) -> Sequence[SchemaState]:
        for store in self._stores:
            await bring_up(store)
        return await self.states()

    async def waiting(self) -> Sequence[OldRecords]:
        return [
            await waiting_in(store, spec.collection)
            for store in await self._readable()
            for spec in ENTITY_SPECS
        ]

    async def rewrite(self) -> Sequence[OldRecords]:
        return [one for store in await self._readable() for one in await rewrite_all(store)]

    async def _readable(self) -> list[RecordStore]:
        """The stores that can be asked: where a schema has numbered steps, the tables must be today's."""
        states = [await state_of(store) for store in self._stores]
        return [
            store
            for store, state in zip(self._stores, states, strict=True)
            if state.is_current or not isinstance(store, Revisioned)
        ]

    async def downgrade(self) -> Sequence[SchemaState]:
        if len(self._stores) > 1:
            # The entries say that the target has everything: nobody would fill it again.
            raise Conflict("A mirrored store cannot step back; take it out of the arrangement first.")
        steps = [store for store in self._stores if isinstance(store, Revisioned)]
        revisions = [await store.revision() for store in steps]
        if not any(revision.current for revision in revisions):
            raise Conflict(
                "There is no step to go back: only PostgreSQL has them, and it is at its beginning."
            )
        for store in steps:
            await store.step_back()
        return await self.states()


async def rewrite_all(store: RecordStore) -> Sequence[OldRecords]:
    """Stores all old records of an opened store, whose schema is current, in today's form. May be repeated."""
    return [await rewritten_in(store, spec.collection) for spec in ENTITY_SPECS]


async def rewrite_once(store: RecordStore) -> None:
    """As `rewrite_all`, unless a control record says that it was done for these specs. Raises StoreUnavailable."""
    if isinstance(store, Upgradable) and await _noted(store, REWRITTEN_ID) != expected_digest():
        await rewrite_all(store)
        await _note(store, REWRITTEN_ID)


async def state_of(store: RecordStore) -> SchemaState:
    """Where an opened store stands. Raises StoreUnavailable."""
    if isinstance(store, Revisioned):
        held = await store.revision()
        return SchemaState(store=store.name, revision=held.current, expected=held.expected)
    noted = await _noted(store, REVISION_ID)
    return SchemaState(store=store.name, revision=noted, expected=expected_digest())


async def bring_up(store: RecordStore) -> None:
    """Prepares an opened store and notes for which schema. Harmless when done already. Raises StoreUnavailable."""
    await store.prepare()
    if isinstance(store, Revisioned):
        return
    if await _noted(store, REVISION_ID) != expected_digest():
        await _note(store, REVISION_ID)


async def require_current(store: RecordStore) -> None:
    """Raises UnmigratedStore for an opened store that somebody must migrate first."""
    state = await state_of(store)
    if not state.is_current:
        stands = "was never migrated" if state.revision is None else f"is at schema {state.revision}"
        raise UnmigratedStore(
            f"The {state.store} store {stands}, and this program needs {state.expected}."
            " Type: tandem migrate up (or set AUTO_MIGRATE=true)."
        )


def expected_digest() -> str:
    """What the specs ask of a document store, in twelve digits."""
    asked = [
        (spec.collection, spec.fields, spec.unique_keys, spec.indexes, spec.text_fields) for spec in ALL_SPECS
    ]
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:12]


async def _noted(store: RecordStore, id: str) -> str | None:
    """The digest in a control record; None where there is no such record."""
    record = (await store.fetch(CONTROL.collection, [id])).get(id)
    return None if record is None else str(record["value"]["revision"])


async def _note(store: RecordStore, id: str) -> None:
    """Writes the present digest into a control record."""
    present = (await store.fetch(CONTROL.collection, [id])).get(id)
    version = 0 if present is None else int(present[VERSION])
    record: Record = {ID: id, VERSION: version + 1, "value": {"revision": expected_digest()}}
    # Another process of this program that was first noted the same.
    with suppress(VersionConflict):
        await store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))
