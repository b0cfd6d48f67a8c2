"""MontyDB keeps every promise of a record store, in memory and in files, whatever way questions are answered."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.monty.tuning import Strategy, Tuning
from adapters.records.record_store import RecordStore
from tests.unit.contracts.concurrency import ConcurrencyContract
from tests.unit.contracts.lanes import CheckpointContract, LaneContract, SeenContract
from tests.unit.contracts.loading import LoadContract
from tests.unit.contracts.ordering import OrderContract, PageContract
from tests.unit.contracts.questions import CriteriaContract
from tests.unit.contracts.record_store import RecordStoreContract
from tests.unit.contracts.searching import HasWordsContract, RelevanceContract, ScriptContract


class TestMontyInMemory(RecordStoreContract, LaneContract, SeenContract, CheckpointContract, LoadContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[RecordStore]:
        store = MontyRecordStore(None)
        await store.open()
        await store.prepare()
        yield store
        await store.close()


@pytest.fixture(scope="module")
def new_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was opened once; copying it is cheaper than creating one."""
    directory = tmp_path_factory.mktemp("template") / "data"
    asyncio.run(_created(MontyRecordStore(directory)))
    return directory


async def _created(store: MontyRecordStore) -> None:
    await store.open()
    await store.close()


class TestMontyInFiles(RecordStoreContract, LaneContract, SeenContract, CheckpointContract, LoadContract):
    @pytest.fixture
    async def store(self, tmp_path: Path, new_directory: Path) -> AsyncIterator[RecordStore]:
        store = MontyRecordStore(shutil.copytree(new_directory, tmp_path / "data"))
        await store.open()
        await store.prepare()
        yield store
        await store.close()


class ReadingContract(
    CriteriaContract,
    HasWordsContract,
    ScriptContract,
    RelevanceContract,
    OrderContract,
    PageContract,
    ConcurrencyContract,
):
    """The suites in which strategies and the time of indexing could make a difference."""

    tuning: Tuning

    @pytest.fixture
    async def store(self) -> AsyncIterator[RecordStore]:
        store = MontyRecordStore(None, tuning=self.tuning)
        await store.open()
        yield store
        await store.close()


class TestGatheredAndIndexedAtOnce(ReadingContract):
    tuning = Tuning(stale_max=1, strategy=Strategy.GATHER)


class TestInOrderAndProbedAndIndexedAfterTwoChanges(ReadingContract):
    tuning = Tuning(stale_max=2, strategy=Strategy.ORDER_AND_PROBE)


class TestInOrderAndSiftedAndIndexedAfterThreeChanges(ReadingContract):
    tuning = Tuning(stale_max=3, strategy=Strategy.ORDER_AND_SIFT)


class TestEverythingInThreads(ReadingContract):
    tuning = Tuning(stale_max=1, on_loop_ms=0, on_loop_rows_max=0)
