import secrets
from collections.abc import AsyncIterator

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.records.record_store import RecordStore, StoreRefused
from entrypoints.composition.failures import UnmigratedStore
from entrypoints.composition.schema import bring_up, require_current, state_of
from entrypoints.composition.topology import TOPOLOGY_ID, GuardedTarget, enter_as_source, enter_as_target
from tests.unit.contracts.builders import change_set, entry, everything, put, task


async def opened() -> MontyRecordStore:
    store = MontyRecordStore(None, database=f"test_{secrets.token_hex(6)}")
    await store.open()
    return store


async def recorded(store: RecordStore) -> dict[str, object]:
    """The topology in the control record of a store."""
    value: dict[str, object] = (await store.fetch("control", [TOPOLOGY_ID]))[TOPOLOGY_ID]["value"]
    return value


@pytest.fixture
async def store() -> AsyncIterator[RecordStore]:
    store = await opened()
    yield store
    await store.close()


@pytest.fixture
async def other() -> AsyncIterator[RecordStore]:
    other = await opened()
    yield other
    await other.close()


async def test_a_store_keeps_its_identity_from_the_first_start_on(store: RecordStore) -> None:
    first = await enter_as_source(store, target=None)
    assert await enter_as_source(store, target=None) == first
    assert (await recorded(store))["identity"] == first.identity


async def test_a_process_that_does_not_mirror_is_refused_by_a_mirrored_store(store: RecordStore) -> None:
    await enter_as_source(store, target="postgres")
    with pytest.raises(StoreRefused, match="DUAL_WRITE_TARGET=postgres"):
        await enter_as_source(store, target=None)


async def test_a_target_is_never_taken_for_a_source(store: RecordStore, other: RecordStore) -> None:
    source = await enter_as_source(store, target="postgres")
    await enter_as_target(other, store)
    assert (await recorded(other))["identity"] == source.identity
    await enter_as_target(other, store)


async def test_a_target_of_other_data_is_refused(store: RecordStore, other: RecordStore) -> None:
    await enter_as_source(store, target="postgres")
    await enter_as_source(other, target=None)
    with pytest.raises(StoreRefused, match="other data"):
        await enter_as_target(other, store)
    guarded = GuardedTarget(other, source=store, migrates=True)
    with pytest.raises(StoreRefused, match="other data"):
        await guarded.prepare()


async def test_an_empty_store_is_not_taken_for_the_copy_that_was_filled(
    store: RecordStore, other: RecordStore
) -> None:
    await enter_as_source(store, target="postgres")
    await enter_as_target(other, store)
    empty = await opened()
    with pytest.raises(StoreRefused, match="not the copy"):
        await enter_as_target(empty, store)
    await enter_as_target(other, store)
    await empty.close()


async def test_entries_from_before_the_mirror_are_queued_for_it(store: RecordStore) -> None:
    for number in range(3):
        change = put("tasks", task(number))
        await store.commit(change_set(change, entries=[entry(change, syncStatus=None)]))
    assert {entry["syncStatus"] for entry in (await everything(store, "audit_logs"))["audit_logs"]} == {None}
    await enter_as_source(store, target="postgres")
    assert {entry["syncStatus"] for entry in (await everything(store, "audit_logs"))["audit_logs"]} == {
        "PENDING"
    }


async def test_a_store_that_was_never_migrated_is_refused_with_the_command_to_type(
    store: RecordStore,
) -> None:
    with pytest.raises(UnmigratedStore, match="tandem migrate up"):
        await require_current(store)
    await bring_up(store)
    await require_current(store)
    assert (await state_of(store)).is_current
    await bring_up(store)


async def test_a_target_that_an_operator_migrates_is_refused_until_then(
    store: RecordStore, other: RecordStore
) -> None:
    guarded = GuardedTarget(other, source=store, migrates=False)
    with pytest.raises(UnmigratedStore):
        await guarded.open()
