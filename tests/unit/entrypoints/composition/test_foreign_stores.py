"""A store that this installation must not write into is not migrated either: not at a start, and not by command."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.ownership import control
from adapters.ownership.control import Ownership
from adapters.records.record import ID
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL
from entrypoints.cli.session import schema_of
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.failures import StoreRefused
from entrypoints.composition.settings import Settings, read_settings
from entrypoints.composition.start import start


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    variables = {"APP_ENV": "test", "STORE": "monty", "DATA_DIR": str(tmp_path)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_settings(variables)


@pytest.fixture
async def mirror(settings: Settings) -> Container:
    """The container of a source whose control record says that it is another store's mirror, never migrated."""
    (store,) = build_container(settings).stack().raw_stores
    await store.open()
    await control.write(store, Ownership.of_owner("postgres").of_mirror("monty"), over=None)
    await store.close()
    return build_container(settings)


@pytest.fixture
async def store(mirror: Container, settings: Settings) -> AsyncIterator[RecordStore]:
    """The same store, to be read afterwards."""
    (store,) = build_container(settings).stack().raw_stores
    yield store
    await store.close()


async def control_ids(store: RecordStore) -> list[str]:
    await store.open()
    return [record[ID] for record in await store.scan(CONTROL.collection, after=None, limit=100)]


async def test_a_mirror_named_as_source_is_refused_at_the_start_before_it_is_migrated(
    mirror: Container, store: RecordStore
) -> None:
    try:
        with pytest.raises(StoreRefused, match="is the mirror of"):
            await start(mirror, within_seconds=5.0)
    finally:
        await mirror.stack().close()
    assert await control_ids(store) == ["ownership"]


async def test_a_mirror_named_as_source_is_refused_by_migrate_up_and_down(
    mirror: Container, store: RecordStore, settings: Settings
) -> None:
    with pytest.raises(StoreRefused, match="is the mirror of"):
        async with schema_of(settings):
            pytest.fail("its schema could be changed")
    assert await control_ids(store) == ["ownership"]


async def test_a_new_store_is_migrated(settings: Settings) -> None:
    async with schema_of(settings, creates=True) as schema:
        assert all(state.is_current for state in await schema.upgrade())
