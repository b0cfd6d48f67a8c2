"""What happens to change sets when disks, power and callers fail."""

import asyncio
import resource
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from adapters.monty.record_store import TRIAL_SECONDS, MontyRecordStore
from adapters.monty.tuning import Tuning
from adapters.records.change_set import ChangeSet
from adapters.records.criteria import Equals, Question
from adapters.records.record import VERSION, CorruptRecord
from adapters.records.record_store import StoreRefused
from domain.errors import AlreadyExists, StoreUnavailable, VersionConflict
from tests.unit.adapters.monty.raw_documents import database_of, outdate
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    control,
    everything,
    fetched,
    label,
    numbered_id,
    put,
    task,
)

ALL = ("tasks", "labels", "audit_logs")
LOCKED = "Another program keeps MontyDB's file locked. End it."


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MontyRecordStore]:
    store = MontyRecordStore(tmp_path / "data", tuning=Tuning(busy_ms=200))
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


async def test_a_clean_end_needs_no_new_file(store: MontyRecordStore, tmp_path: Path) -> None:
    identity = tmp_path / "data" / "tandem.identity"
    await store.commit(change_set(put("tasks", task(1))))
    before, noted = identity.stat(), identity.read_text()
    await store.close()
    assert identity.stat().st_ino == before.st_ino
    assert identity.read_text() == noted.partition(" ")[0] != noted


async def test_a_power_cut_after_the_commit_loses_nothing(store: MontyRecordStore, tmp_path: Path) -> None:
    await store.commit(change_set(put("tasks", task(1)), put("labels", label(1))))
    await store.commit(change_set(put("tasks", task(1, version=2, title="Later"))))
    cut = shutil.copytree(tmp_path / "data", tmp_path / "cut")
    assert await reopened(cut) == await everything(store, *ALL)


async def test_opening_writes_nothing_where_nothing_has_changed(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    await store.commit(change_set(put("tasks", task(1))))
    await store.close()
    before = (tmp_path / "data" / "tandem.sqlite").read_bytes()
    assert len((await reopened(tmp_path / "data"))["tasks"]) == 1
    assert (tmp_path / "data" / "tandem.sqlite").read_bytes() == before


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


async def test_while_another_program_holds_the_file_reads_go_on_and_commits_are_refused(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    await store.commit(change_set(put("tasks", task(1))))
    later = change_set(put("tasks", task(1, version=2, title="Later")))
    with locked_file(tmp_path / "data" / "tandem.sqlite"):
        with pytest.raises(StoreUnavailable):
            await store.commit(later)
        assert await fetched(store, "tasks", 1) == task(1)
    await store.commit(later)
    assert await fetched(store, "tasks", 1) == task(1, version=2, title="Later")


async def test_while_another_program_holds_the_file_each_ping_names_the_cause_before_probes_give_up(
    tmp_path: Path,
) -> None:
    store = MontyRecordStore(tmp_path / "data", tuning=Tuning(busy_ms=1_500))
    await store.open()
    await store.commit(change_set(put("tasks", task(1))))
    with locked_file(tmp_path / "data" / "tandem.sqlite"):
        with pytest.raises(StoreUnavailable, match=LOCKED):
            await store.commit(change_set(put("tasks", task(2))))
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=LOCKED):
                await asyncio.wait_for(store.ping(), 1.2)
        pings = await asyncio.gather(*(store.ping() for _ in range(3)), return_exceptions=True)
        assert {str(ping) for ping in pings} == {LOCKED}
    await asyncio.sleep(TRIAL_SECONDS)
    await store.ping()
    await store.commit(change_set(put("tasks", task(2))))
    assert await fetched(store, "tasks", 2) == task(2)
    await store.close()


async def test_opening_a_file_that_another_program_holds_can_be_tried_again(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    await store.commit(change_set(put("tasks", task(1))))
    await store.close()
    with closing(database_of(tmp_path / "data")) as connection:
        outdate(connection, "tasks")
    with locked_file(tmp_path / "data" / "tandem.sqlite"), pytest.raises(StoreUnavailable, match=LOCKED):
        await store.open()
    await store.open()
    assert await fetched(store, "tasks", 1) == task(1)


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


async def test_the_log_stays_bounded_under_many_large_changes(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    text = "x" * 500_000
    for version in range(1, 101):
        await store.commit(change_set(put("tasks", task(1, version=version, description=text))))
    assert (tmp_path / "data" / "tandem.sqlite-wal").stat().st_size < 20_000_000
    stored = await fetched(store, "tasks", 1)
    assert stored is not None
    assert stored[VERSION] == 100


async def test_changed_texts_of_earlier_runs_count_until_their_words_are_indexed(tmp_path: Path) -> None:
    for number in range(5):
        store = MontyRecordStore(tmp_path, tuning=Tuning(stale_max=4))
        await store.open()
        await store.commit(change_set(put("tasks", task(number, title="Dig the pond"))))
        await store.close()
    with closing(database_of(tmp_path)) as file:
        assert file.execute("SELECT count(*) FROM tasks_words_stale").fetchone() == (1,)
        indexed = "SELECT count(*) FROM tasks_words WHERE tasks_words MATCH '\"pond\"'"
        assert file.execute(indexed).fetchone() == (4,)


async def test_a_damaged_file_is_refused_with_a_remedy(store: MontyRecordStore, tmp_path: Path) -> None:
    await store.close()
    (tmp_path / "data" / "tandem.sqlite").write_bytes(b"no database at all" * 1_000)
    with pytest.raises(StoreRefused, match="damaged: move them away"):
        await store.open()


async def test_a_damaged_document_is_named_where_it_is_read_and_hinders_no_other(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    await commit_all(store, "tasks", task(1), task(2))
    await store.close()
    with closing(database_of(tmp_path / "data")) as file:
        file.execute("UPDATE tasks SET doc = substr(doc, 1, 200) WHERE id = ?", (numbered_id(1),))
        outdate(file, "tasks")
    await store.open()
    with pytest.raises(CorruptRecord, match=f"{numbered_id(1)} is damaged: restore it"):
        await store.fetch("tasks", [numbered_id(1)])
    assert await fetched(store, "tasks", 2) == task(2)
    live = Question(collection="tasks", where=Equals("isDeleted", value=False), limit=5)
    assert await store.find(live) == [task(2)]
    await store.commit(change_set(put("tasks", task(1, version=2, title="Mended"))))
    assert await fetched(store, "tasks", 1) == task(1, version=2, title="Mended")


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


async def test_the_time_of_a_change_set_grows_with_its_size_and_not_with_the_square_of_it(
    store: MontyRecordStore,
) -> None:
    seconds = []
    for number, size in enumerate((1_000, 8_000)):
        ids = range(number * 10_000, number * 10_000 + size)
        await store.commit(change_set(*(put("tasks", task(id_, description="x" * 400)) for id_ in ids)))
        edits = change_set(*(put("tasks", task(id_, version=2, isDeleted=True)) for id_ in ids))
        began = time.monotonic()
        await asyncio.gather(
            store.commit(edits), *(store.commit(change_set(put("labels", label(id_)))) for id_ in ids[:10])
        )
        seconds.append(time.monotonic() - began)
    assert seconds[1] < 16 * seconds[0]


async def test_large_and_small_change_sets_that_are_rejected_leave_the_others_alone(
    store: MontyRecordStore,
) -> None:
    await store.commit(change_set(put("tasks", task(1))))
    large = [put("tasks", task(id_)) for id_ in range(100, 300)]
    stale = put("tasks", task(1, version=3))
    outcomes = await asyncio.gather(
        store.commit(change_set(put("labels", label(1)))),
        store.commit(change_set(*large, stale)),
        store.commit(change_set(stale)),
        store.commit(change_set(*large)),
        store.commit(change_set(put("labels", label(2)))),
        return_exceptions=True,
    )
    assert [isinstance(one, VersionConflict) for one in outcomes] == [False, True, True, False, False]
    assert len(await store.scan("tasks", after=None, limit=1_000)) == 1 + len(large)
    assert len(await store.scan("labels", after=None, limit=10)) == 2


async def test_an_opening_that_is_cancelled_closes_nothing_that_its_thread_still_uses(tmp_path: Path) -> None:
    store = MontyRecordStore(tmp_path / "data")
    for turns in range(40):
        opening = asyncio.create_task(store.open())
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        opening.cancel()
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await store.close()
    await store.open()
    await store.commit(change_set(put("tasks", task(1))))
    await store.close()
