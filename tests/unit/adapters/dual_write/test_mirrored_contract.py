"""A mirrored store keeps every promise of a record store, and brings to its target what it promised."""

from collections.abc import AsyncIterator

import pytest

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.settings import DualWriteSettings
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from adapters.system.clock import SystemClock
from tests.unit.adapters.dual_write.world import everything
from tests.unit.contracts.record_store import RecordStoreContract
from tests.unit.memory_store import MemoryRecordStore

CALM = DualWriteSettings(mark_interval_ms=60_000)
"""Entries are marked when the store is closed, not while a test compares the stores."""


class TestMirroredStore(RecordStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[RecordStore]:
        source, target = MemoryRecordStore("source"), MemoryRecordStore("target")
        store = MirroredStore(
            source,
            MirrorTarget(target, settings=CALM),
            settings=CALM,
            clock=SystemClock(),
            wake_relay=lambda: None,
        )
        await store.open()
        await store.prepare()
        yield store
        await store.close()
        for spec in (*ENTITY_SPECS, AUDIT_LOGS):
            assert await everything(target, spec.collection) == await everything(source, spec.collection)
