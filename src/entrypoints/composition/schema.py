"""The schema of every store in use: a migration revision for PostgreSQL, a digest of the specs for the other stores."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from adapters.records.control_records import read_control, write_control
from adapters.records.old_records import Upgradable, rewritten_in, waiting_in
from adapters.records.record_store import RecordStore
from adapters.records.revisions import Examined, Revisioned, flaws_of
from adapters.records.spec_digest import REVISION_ID, expected_digest
from adapters.records.specs import ENTITY_SPECS
from adapters.records.words import RULE
from application.ports.schema import OldRecords, SchemaFlaw, SchemaState
from domain.errors import Conflict, VersionConflict
from entrypoints.composition.addresses import EMBEDDED
from entrypoints.composition.failures import UnmigratedStore
from entrypoints.composition.settings import Settings
from entrypoints.composition.stores import build_store

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
            if isinstance(store, Examined):
                await store.restore_parts()
        return await self.states()

    async def waiting(self) -> Sequence[OldRecords]:
        return [
            await waiting_in(store, spec.collection)
            for store in await self._readable()
            for spec in ENTITY_SPECS
        ]

    async def rewrite(self) -> Sequence[OldRecords]:
        rewritten: list[OldRecords] = []
        for store in await self._readable():
            rewritten += await rewrite_all(store)
            await _record_rewriting(store)
        return rewritten

    async def flaws(self) -> Mapping[str, Sequence[SchemaFlaw]]:
        return {store.name: await flaws_of(store) for store in self._stores}

    async def _readable(self) -> list[RecordStore]:
        """The stores whose records can be read: with migrations, only at the current revision."""
        return [
            store
            for store in self._stores
            if not isinstance(store, Revisioned) or (await state_of(store)).is_current
        ]

    async def downgrade(self) -> Sequence[SchemaState]:
        if len(self._stores) > 1:
            raise Conflict(
                "The schema of mirrored stores cannot be stepped back, because the mirror would not fill the tables"
                " again. Keep this version, or restore both stores from a backup from before the upgrade."
            )
        (store,) = self._stores
        if not isinstance(store, Revisioned) or (await store.revision()).current is None:
            raise Conflict(
                "There is no migration to undo: only PostgreSQL has migrations, and none has been applied."
            )
        await store.step_back()
        return await self.states()


async def rewrite_all(store: RecordStore) -> Sequence[OldRecords]:
    """Rewrites the old records of an opened store with a current schema in today's form, and their search tokens by
    today's rule. May be repeated: what an interrupted run has rewritten is not written again.
    """
    return [await rewritten_in(store, spec.collection) for spec in ENTITY_SPECS]


async def rewrite_once(store: RecordStore) -> None:
    """`rewrite_all`, unless a control record says that it was done for these specs and this rule for search tokens.
    Raises StoreUnavailable.
    """
    if isinstance(store, Upgradable) and await _recorded(store, REWRITTEN_ID) != _rewritten_mark():
        await rewrite_all(store)
        await _record_rewriting(store)


async def _record_rewriting(store: RecordStore) -> None:
    if isinstance(store, Upgradable) and await _recorded(store, REWRITTEN_ID) != _rewritten_mark():
        await _record(store, REWRITTEN_ID, _rewritten_mark())


def _rewritten_mark() -> str:
    """What a store notes once its records have today's form and the search tokens of today's rule."""
    return f"{expected_digest()} {RULE}"


async def require_rewritten(store: RecordStore) -> None:
    """Raises UnmigratedStore where an operator must have the old records rewritten first: some lists and look-ups, for
    example by e-mail address, miss them until then.
    """
    if isinstance(store, Upgradable) and await _recorded(store, REWRITTEN_ID) != _rewritten_mark():
        raise UnmigratedStore(
            f"The records of the {store.name} store may still be in an old format, and some look-ups would miss them."
            " Type: tandem migrate up (or set AUTO_MIGRATE=true)."
        )


async def restored_beside_service(settings: Settings, names: Sequence[str]) -> bool:
    """Makes anew what is missing in these stores, which the running service uses meanwhile. False, and nothing done,
    where one of them is embedded in the service. Raises StoreRefused and StoreUnavailable.
    """
    if settings.stores.postgres_url == EMBEDDED:
        return False
    for name in names:
        store = build_store(name, settings.stores)
        try:
            await store.open()
            if isinstance(store, Examined):
                await store.restore_parts()
        finally:
            await store.close()
    return True


async def state_of(store: RecordStore) -> SchemaState:
    """The schema state of an opened store. Raises StoreUnavailable."""
    if isinstance(store, Revisioned):
        held = await store.revision()
        return SchemaState(store=store.name, revision=held.current, expected=held.expected)
    revision = await _recorded(store, REVISION_ID)
    return SchemaState(store=store.name, revision=revision, expected=expected_digest())


async def bring_up(store: RecordStore) -> None:
    """Prepares an opened store and records the schema. Harmless when done already. Raises StoreUnavailable."""
    await store.prepare()
    if not isinstance(store, Revisioned) and await _recorded(store, REVISION_ID) != expected_digest():
        await _record(store, REVISION_ID, expected_digest())


async def require_current(store: RecordStore) -> None:
    """Raises UnmigratedStore for an opened store that an operator must migrate first."""
    state = await state_of(store)
    if not state.is_current:
        for flaw in await flaws_of(store):
            raise UnmigratedStore(f"{flaw.cause} {flaw.remedy}")
        current = "was never migrated" if state.revision is None else f"is at schema {state.revision}"
        raise UnmigratedStore(
            f"The {state.store} store {current}, and this program needs {state.expected}."
            " Type: tandem migrate up (or set AUTO_MIGRATE=true)."
        )


def expected_of(name: str) -> str:
    """The revision that this program needs of the store of this name."""
    if name != "postgres":
        return expected_digest()
    from adapters.postgres.installed_schema import HEAD  # noqa: PLC0415 - its driver is slow to load

    return HEAD


async def _recorded(store: RecordStore, id: str) -> str | None:
    """The digest in a control record; None where there is no such record."""
    _, value = await read_control(store, id)
    return None if value is None else str(value["revision"])


async def _record(store: RecordStore, id: str, revision: str) -> None:
    """Writes the revision into a control record."""
    version, _ = await read_control(store, id)
    # Another process of this program may be first, with the same digest.
    with suppress(VersionConflict):
        await write_control(store, id, {"revision": revision}, over=version)
