"""MontyDB keeps every promise of a record store, in memory and in files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.records.record_store import RecordStore
from tests.unit.contracts.record_store import RecordStoreContract


class TestMontyInMemory(RecordStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[RecordStore]:
        store = MontyRecordStore(None)
        await store.open()
        await store.prepare()
        yield store
        await store.close()


class TestMontyInFiles(RecordStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[RecordStore]:
        store = MontyRecordStore(tmp_path)
        await store.open()
        await store.prepare()
        yield store
        await store.close()
