import secrets
from collections.abc import AsyncIterator

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.records.record_store import RecordStore, StoreRefused
from entrypoints.composition.arrangement import require_owner
from entrypoints.composition.failures import UnmigratedStore
from entrypoints.composition.guarded_target import GuardedTarget
from entrypoints.composition.schema import bring_up, require_current, state_of


@pytest.fixture
async def store() -> AsyncIterator[RecordStore]:
    opened = MontyRecordStore(None, database=f"test_{secrets.token_hex(6)}")
    await opened.open()
    yield opened
    await opened.close()


async def test_a_store_holds_every_process_to_its_first_owner(store: RecordStore) -> None:
    await store.prepare()
    await require_owner(store, owner="monty")
    await require_owner(store, owner="monty")
    with pytest.raises(StoreRefused, match="DUAL_WRITE_SOURCE=monty"):
        await require_owner(store, owner="postgres")


async def test_a_store_that_was_never_migrated_is_refused_with_what_to_type(store: RecordStore) -> None:
    with pytest.raises(UnmigratedStore, match="tandem migrate up"):
        await require_current(store)
    await bring_up(store)
    await require_current(store)
    assert (await state_of(store)).is_current
    await bring_up(store)


async def test_a_target_of_somebody_else_is_refused_when_it_is_prepared(store: RecordStore) -> None:
    await bring_up(store)
    await require_owner(store, owner="postgres")
    guarded = GuardedTarget(store, owner="mongo", is_migrated_here=True)
    with pytest.raises(StoreRefused):
        await guarded.prepare()


async def test_a_target_that_people_migrate_is_refused_until_they_did(store: RecordStore) -> None:
    guarded = GuardedTarget(store, owner="mongo", is_migrated_here=False)
    with pytest.raises(UnmigratedStore):
        await guarded.open()
