"""The schema of every store in use: PostgreSQL's by its migrations, other stores' by a digest of what the specs ask."""

import hashlib
from collections.abc import Sequence

from adapters.records.change_set import ChangeSet, Put
from adapters.records.old_records import rewritten_in, waiting_in
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.revisions import Revisioned
from adapters.records.specs import ALL_SPECS, CONTROL, ENTITY_SPECS
from adapters.repositories.placing import Placing
from application.ports.schema import OldRecords, OutOfPlace, SchemaState
from domain.errors import Conflict, VersionConflict
from entrypoints.composition.failures import UnmigratedStore

REVISION_ID = "schema"


class StoreSchema:
    """The port Schema over opened stores, the one that owns the writes first; `placing` goes through that one."""

    def __init__(self, stores: Sequence[RecordStore], placing: Placing) -> None:
        self._stores = stores
        self._placing = placing

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

    async def out_of_place(self) -> Sequence[OutOfPlace]:
        return await self._placing.waiting() if self._stores[0] in await self._readable() else []

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


async def state_of(store: RecordStore) -> SchemaState:
    """Where an opened store stands. Raises StoreUnavailable."""
    if isinstance(store, Revisioned):
        held = await store.revision()
        return SchemaState(store=store.name, revision=held.current, expected=held.expected)
    noted = await _noted(store)
    revision = None if noted is None else str(noted["value"]["revision"])
    return SchemaState(store=store.name, revision=revision, expected=expected_digest())


async def bring_up(store: RecordStore) -> None:
    """Prepares an opened store and notes for which schema. Harmless when done already. Raises StoreUnavailable."""
    await store.prepare()
    if isinstance(store, Revisioned):
        return
    noted = await _noted(store)
    if noted is not None and noted["value"]["revision"] == expected_digest():
        return
    version = 0 if noted is None else int(noted[VERSION])
    record: Record = {ID: REVISION_ID, VERSION: version + 1, "value": {"revision": expected_digest()}}
    try:
        await store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))
    except VersionConflict:
        return  # another process of this program noted the same


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


async def _noted(store: RecordStore) -> Record | None:
    return (await store.fetch(CONTROL.collection, [REVISION_ID])).get(REVISION_ID)
