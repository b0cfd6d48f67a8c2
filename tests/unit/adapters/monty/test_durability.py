"""What happens to change sets when disks, power and callers fail."""

import asyncio
import resource
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet
from adapters.records.record import VERSION
from adapters.records.record_store import StoreRefused
from domain.errors import AlreadyExists, StoreUnavailable, VersionConflict
from tests.unit.contracts.builders import (
    change_set,
    control,
    everything,
    fetched,
    fetched_entry,
    label,
    numbered_id,
    put,
    task,
)

ALL = ("tasks", "labels", "audit_logs")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MontyRecordStore]:
    store = MontyRecordStore(tmp_path / "data")
    await store.open()
    yield store
    await store.close()


@contextmanager
def full_disk(*, file_bytes_max: int) -> Iterator[None]:
    """No file of this process can grow beyond a size, which is how a full disk looks to whoever writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """A stranger holds a collection's file, so that it cannot be written."""
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        yield


async def reopened(directory: Path) -> dict[str, list[dict[str, object]]]:
    """Everything a directory holds."""
    store = MontyRecordStore(directory)
    await store.open()
    try:
        return await everything(store, *ALL)
    finally:
        await store.close()


async def test_what_was_committed_is_there_after_closing_and_opening(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    await store.commit(change_set(put("tasks", task(1)), put("labels", label(1))))
    before = await everything(store, *ALL)
    await store.close()
    assert await reopened(tmp_path / "data") == before
    assert [len(records) for records in before.values()] == [1, 1, 2]


async def test_a_power_cut_that_takes_the_collections_back_is_replayed_from_the_journal(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "data", cut)
    await store.commit(change_set(put("tasks", task(1)), put("labels", label(1))))
    await store.commit(change_set(put("tasks", task(1, version=2, title="Later"))))
    for path in (tmp_path / "data").glob("tandem.journal*"):
        shutil.copy(path, cut / path.name)
    assert await reopened(cut) == await everything(store, *ALL)


async def test_a_replayed_journal_is_empty_afterwards_and_replaying_twice_changes_nothing(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    await store.commit(change_set(put("tasks", task(1))))
    await store.close()
    with closing(sqlite3.connect(tmp_path / "data" / "tandem.journal")) as journal:
        assert journal.execute("SELECT count(*) FROM journal").fetchone() == (0,)
    first = await reopened(tmp_path / "data")
    assert await reopened(tmp_path / "data") == first


async def test_a_full_disk_refuses_a_change_set_and_keeps_nothing_of_it(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    await store.commit(change_set(put("tasks", task(1))))
    before = await everything(store, *ALL)
    large = change_set(put("labels", label(1)), put("tasks", task(2, description="x" * 2_000_000)))
    with full_disk(file_bytes_max=500_000), pytest.raises(StoreUnavailable):
        await store.commit(large)
    assert await everything(store, *ALL) == before
    await store.commit(large)
    assert await fetched(store, "tasks", 2)
    assert await fetched(store, "labels", 1)


async def test_a_durable_change_set_that_cannot_be_written_yet_is_shown_whole_or_not_at_all(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    one, other = put("tasks", task(1)), put("labels", label(1))
    with locked_file(tmp_path / "data" / "tandem" / "labels.collection"):
        with pytest.raises(StoreUnavailable):
            await store.commit(change_set(one, other))
        for question in (
            store.fetch("tasks", [one.record_id]),
            store.commit(change_set(put("tasks", task(2)))),
        ):
            with pytest.raises(StoreUnavailable):
                await question
    assert await fetched(store, "tasks", 1) == one.record
    assert await fetched(store, "labels", 1) == other.record
    assert await fetched_entry(store, other)
    with pytest.raises(VersionConflict):
        await store.commit(change_set(put("tasks", task(1, title="Another first"))))
    with pytest.raises(AlreadyExists):
        await store.commit(change_set(put("labels", label(2, name="Label 1"))))


async def test_a_durable_change_set_that_was_never_written_is_there_after_opening(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    with locked_file(tmp_path / "data" / "tandem" / "labels.collection"):
        with pytest.raises(StoreUnavailable):
            await store.commit(change_set(put("tasks", task(1)), put("labels", label(1))))
        with pytest.raises(StoreUnavailable):
            await store.close()
    stored = await reopened(tmp_path / "data")
    assert [len(records) for records in stored.values()] == [1, 1, 2]


async def test_a_cancelled_caller_leaves_its_change_set_whole(store: MontyRecordStore) -> None:
    for number in range(20):
        asked = asyncio.create_task(
            store.commit(change_set(put("tasks", task(number)), put("labels", label(number))))
        )
        for _ in range(number % 5):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
    await store.commit(change_set(put("tasks", task(100))))
    stored = await everything(store, *ALL)
    tasks = [record["id"] for record in stored["tasks"] if record["id"] != numbered_id(100)]
    assert tasks == [record["id"] for record in stored["labels"]]
    assert len(stored["audit_logs"]) == 2 * len(tasks) + 1
    assert tasks, "none of the callers got as far as the queue"


async def test_closing_finishes_what_was_asked_for(store: MontyRecordStore, tmp_path: Path) -> None:
    asked = [
        asyncio.create_task(store.commit(change_set(put("tasks", task(number))))) for number in range(50)
    ]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*asked)
    assert len((await reopened(tmp_path / "data"))["tasks"]) == 50


async def test_racing_writers_of_one_record_have_one_winner(store: MontyRecordStore) -> None:
    await store.commit(change_set(put("tasks", task(1))))
    racing = [store.commit(change_set(put("tasks", task(1, version=2, title=f"By {n}")))) for n in range(30)]
    outcomes = await asyncio.gather(*racing, return_exceptions=True)
    winners = [number for number, outcome in enumerate(outcomes) if outcome is None]
    losers = [outcome for outcome in outcomes if isinstance(outcome, VersionConflict)]
    stored = await fetched(store, "tasks", 1)
    assert stored is not None
    assert (len(winners), len(losers)) == (1, 29)
    assert (stored[VERSION], stored["title"]) == (2, f"By {winners[0]}")


async def test_racing_writers_without_entries_have_one_winner(store: MontyRecordStore) -> None:
    await store.commit(ChangeSet((put("control", control("lease", {"holder": "nobody"})),)))
    racing = [
        store.commit(ChangeSet((put("control", control("lease", {"holder": number}, version=2)),)))
        for number in range(30)
    ]
    outcomes = await asyncio.gather(*racing, return_exceptions=True)
    lease = (await store.fetch("control", ["lease"]))["lease"]
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 29
    assert (lease[VERSION], lease["value"]) == (2, {"holder": outcomes.index(None)})


async def test_racing_claims_of_one_name_have_one_winner(store: MontyRecordStore) -> None:
    racing = [store.commit(change_set(put("labels", label(number, name="urgent")))) for number in range(30)]
    outcomes = await asyncio.gather(*racing, return_exceptions=True)
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 29
    assert len((await everything(store, "labels"))["labels"]) == 1


async def test_the_journal_stays_bounded_under_many_large_changes(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    text = "x" * 500_000
    for version in range(1, 101):
        await store.commit(change_set(put("tasks", task(1, version=version, description=text))))
    with closing(sqlite3.connect(tmp_path / "data" / "tandem.journal")) as journal:
        (kept,) = journal.execute("SELECT sum(length(v)) FROM journal").fetchone()
    assert kept < 20_000_000
    stored = await fetched(store, "tasks", 1)
    assert stored is not None
    assert stored[VERSION] == 100


async def test_a_damaged_file_is_refused_with_a_remedy(store: MontyRecordStore, tmp_path: Path) -> None:
    await store.close()
    (tmp_path / "data" / "tandem" / "tasks.collection").write_bytes(b"no database at all" * 1_000)
    with pytest.raises(StoreRefused, match="damaged: put them aside"):
        await store.open()


async def test_a_damaged_document_is_refused_and_the_directory_let_go(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    await store.commit(change_set(put("tasks", task(1))))
    await store.close()
    with closing(sqlite3.connect(tmp_path / "data" / "tandem" / "tasks.collection")) as file:
        (whole,) = file.execute("SELECT v FROM documents").fetchone()
        with file:
            file.execute("UPDATE documents SET v = ?", (whole[:-5],))
        with pytest.raises(StoreRefused, match="damaged: put them aside"):
            await store.open()
        with file:
            file.execute("UPDATE documents SET v = ?", (whole,))
    await store.open()
    assert await fetched(store, "tasks", 1) == task(1)


async def test_a_directory_that_cannot_be_made_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreRefused, match="or choose another"):
        await MontyRecordStore(tmp_path / "file").open()


async def test_a_second_store_on_one_directory_is_refused_until_the_first_is_closed(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    second = MontyRecordStore(tmp_path / "data")
    with pytest.raises(StoreRefused, match="one process at a time"):
        await second.open()
    await store.close()
    await second.open()
    await second.close()
