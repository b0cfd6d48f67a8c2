"""The store the decorators are tested over keeps the same promises as the real ones."""

import pytest

from adapters.records.record_store import RecordStore
from tests.unit.contracts.record_store import RecordStoreContract
from tests.unit.memory_store import MemoryRecordStore


class TestMemoryRecordStore(RecordStoreContract):
    @pytest.fixture
    def store(self) -> RecordStore:
        return MemoryRecordStore()
