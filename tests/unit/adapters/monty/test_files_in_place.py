"""Writes stop when the database or its log goes, and a store whose last writes are missing is refused."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from adapters.monty.identity_file import IdentityFile
from adapters.monty.record_store import MontyRecordStore
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable
from tests.unit.contracts.builders import commit_all, fetched, label, task

DATABASE, LOG, IDENTITY = "tandem.sqlite", "tandem.sqlite-wal", "tandem.identity"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MontyRecordStore]:
    """A store that was closed with task 1, and has been opened again and got task 2."""
    store = MontyRecordStore(tmp_path / "data")
    await store.open()
    await commit_all(store, "tasks", task(1))
    await store.close()
    shutil.copy(tmp_path / "data" / DATABASE, tmp_path / "older")
    await store.open()
    await commit_all(store, "tasks", task(2))
    yield store
    await store.close()


def as_killed(tmp_path: Path, *, without: str = "") -> Path:
    """A directory as a killed process leaves it."""
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "data", killed, ignore=shutil.ignore_patterns(without))
    return killed


async def require_tasks(directory: Path, *numbers: int) -> None:
    store = MontyRecordStore(directory)
    await store.open()
    stored = await store.scan("tasks", after=None, limit=9)
    await store.close()
    assert stored == [task(number) for number in numbers]


async def require_refused(directory: Path) -> None:
    for _ in range(2):
        with pytest.raises(StoreRefused, match=r"last writes are missing.*Restore a copy.*or remove"):
            await MontyRecordStore(directory).open()


@pytest.mark.usefixtures("store")
async def test_what_a_killed_process_left_is_complete_with_its_log(tmp_path: Path) -> None:
    killed = as_killed(tmp_path)
    await require_tasks(killed, 1, 2)
    (killed / LOG).unlink(missing_ok=True)
    await require_tasks(killed, 1, 2)


@pytest.mark.usefixtures("store")
async def test_what_a_killed_process_left_is_refused_without_its_log(tmp_path: Path) -> None:
    killed = as_killed(tmp_path, without=LOG)
    await require_refused(killed)
    (killed / IDENTITY).unlink()
    await require_tasks(killed, 1)


@pytest.mark.usefixtures("store")
async def test_no_one_is_told_to_go_on_with_a_database_that_is_damaged_without_its_log(
    tmp_path: Path,
) -> None:
    killed = as_killed(tmp_path, without=LOG)
    os.truncate(killed / DATABASE, (killed / DATABASE).stat().st_size // 2)
    with pytest.raises(
        StoreRefused, match=r"Restore a copy that is complete: without them tandem.sqlite is damaged.$"
    ):
        await MontyRecordStore(killed).open()


@pytest.mark.usefixtures("store")
async def test_a_large_database_that_is_sound_without_its_log_is_not_called_damaged(tmp_path: Path) -> None:
    killed = as_killed(tmp_path, without=LOG)
    with closing(sqlite3.connect(killed / DATABASE)) as connection, connection:
        connection.execute("CREATE TABLE bulk (number INTEGER)")
        connection.executemany("INSERT INTO bulk VALUES (?)", ((number,) for number in range(20_000)))
    (killed / LOG).unlink(missing_ok=True)
    with pytest.raises(StoreRefused, match=r"to go on without those writes.$"):
        IdentityFile(killed / DATABASE, check_seconds_max=60.0).known_store()
    with pytest.raises(StoreRefused, match=r"to go on.*damaged without them is not known.*keep a copy"):
        IdentityFile(killed / DATABASE, check_seconds_max=0.0).known_store()


@pytest.mark.usefixtures("store")
async def test_an_older_database_is_refused_with_the_log_of_a_killed_process(tmp_path: Path) -> None:
    killed = as_killed(tmp_path)
    shutil.copy(tmp_path / "older", killed / DATABASE)
    await require_refused(killed)
    for name in (LOG, IDENTITY):
        (killed / name).unlink()
    await require_tasks(killed, 1)


async def test_an_older_database_is_accepted_where_the_store_was_closed(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    await store.close()
    shutil.copy(tmp_path / "older", tmp_path / "data" / DATABASE)
    await require_tasks(tmp_path / "data", 1)


def deleted(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def replaced(path: Path) -> None:
    shutil.copy(path.parents[1] / "older", path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def overwritten(path: Path) -> None:
    """As `cp` does it: the file stays the same one."""
    shutil.copy(path.parents[1] / "older", path)


@pytest.mark.parametrize("harm", [deleted, emptied, replaced, overwritten])
async def test_no_write_is_acknowledged_once_the_database_has_gone(
    store: MontyRecordStore, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    harm(tmp_path / "data" / DATABASE)
    with pytest.raises(StoreUnavailable):
        await commit_all(store, "tasks", task(3))
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await store.close()
    with pytest.raises(StoreRefused):
        await MontyRecordStore(tmp_path / "data").open()


@pytest.mark.parametrize("harm", [deleted, emptied, replaced])
async def test_what_is_advised_for_a_database_that_has_gone_can_be_followed(
    store: MontyRecordStore, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    directory = tmp_path / "data"
    await commit_all(store, "tasks", *map(task, range(3, 60)))
    harm(directory / DATABASE)
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await store.close()
    with pytest.raises(StoreRefused) as refused:
        await MontyRecordStore(directory).open()
    advice = str(refused.value)
    if f"remove {directory / 'tandem.*'} to start with an empty store" in advice:
        for path in directory.glob("tandem.*"):
            path.unlink()
        await require_tasks(directory)
    elif f"remove {directory / IDENTITY} and the log" in advice:
        for name in (IDENTITY, LOG):
            (directory / name).unlink(missing_ok=True)
        await require_tasks(directory, 1)
    else:
        assert "is damaged" in advice
        assert "remove" not in advice


async def test_an_older_copy_written_over_the_open_database_is_noticed_at_once_and_refused_until_it_is_complete(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    overwritten(tmp_path / "data" / DATABASE)
    with pytest.raises(
        StoreRefused, match=r"Another copy was written over .* remove the files -wal and -shm"
    ):
        store.require_files()
    await store.close()
    for _ in range(2):
        with pytest.raises(StoreRefused, match=r"Another copy was written over .* Restore a complete copy"):
            await MontyRecordStore(tmp_path / "data").open()
    for name in (LOG, f"{DATABASE}-shm", IDENTITY):
        (tmp_path / "data" / name).unlink(missing_ok=True)
    overwritten(tmp_path / "data" / DATABASE)
    await require_tasks(tmp_path / "data", 1)


async def test_a_store_that_writes_back_its_log_is_still_its_own(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    for number in range(3, 6):
        await commit_all(store, "tasks", task(number))
        store._file.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.require_files()
    await store.close()
    await require_tasks(tmp_path / "data", *range(1, 6))


async def test_no_write_is_acknowledged_once_the_log_has_gone(
    store: MontyRecordStore, tmp_path: Path
) -> None:
    (tmp_path / "data" / LOG).unlink()
    with pytest.raises(StoreUnavailable):
        await commit_all(store, "tasks", task(3))
    assert await fetched(store, "tasks", 2) == task(2)
    await store.close()
    await require_tasks(tmp_path / "data", 1, 2)


GROWN = range(3, 400)
"""Tasks that let the database grow by more than one checkpoint after it was opened."""


async def grow(store: MontyRecordStore) -> None:
    await asyncio.gather(
        *(commit_all(store, "tasks", task(number, description="x" * 9_000)) for number in GROWN)
    )


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_database_that_was_cut_since_it_grew_is_noticed_and_refused_until_it_is_restored(
    store: MontyRecordStore, tmp_path: Path, share: float, *, is_killed: bool
) -> None:
    database = tmp_path / "data" / DATABASE
    opened = database.stat().st_size
    await grow(store)
    grown = database.stat().st_size
    assert share * grown > opened, "the test shows nothing about a database that has grown"
    os.truncate(database, int(share * grown))
    with pytest.raises(StoreRefused, match=r"A part of .* was cut off while in use"):
        store.require_files()
    os.truncate(database, grown)
    with pytest.raises(StoreUnavailable, match=r"cut or overwritten while in use.*Stop Tandem and restore"):
        await commit_all(store, "tasks", task(999))
    with pytest.raises(StoreUnavailable):
        await store.ping()
    directory = as_killed(tmp_path) if is_killed else tmp_path / "data"
    await store.close()
    for _ in range(2):
        with pytest.raises(StoreRefused, match=r"was cut off .* Restore a complete copy.* and remove"):
            await MontyRecordStore(directory).open()
    for name in (LOG, f"{DATABASE}-shm", IDENTITY):
        (directory / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "older", directory / DATABASE)
    await require_tasks(directory, 1)


def exchange(path: Path, content: bytes | None) -> bytes:
    """Overwrites every page but the first, which has the identity, and returns what was there."""
    page = 4_096
    with path.open("r+b") as file:
        file.seek(page)
        before = file.read()
        file.seek(page)
        file.write(content or b"\xa5" * len(before))
    return before


@pytest.mark.parametrize("met_by", ["read", "write"])
async def test_nothing_is_written_once_damage_was_met_until_the_store_is_opened_again(
    store: MontyRecordStore, tmp_path: Path, met_by: str
) -> None:
    await store.close()
    database = tmp_path / "data" / DATABASE
    await store.open()
    sound = exchange(database, None)
    with pytest.raises(StoreUnavailable, match="is damaged"):
        await (fetched(store, "tasks", 1) if met_by == "read" else commit_all(store, "tasks", task(3)))
    exchange(database, sound)
    for _ in range(2):
        with pytest.raises(
            StoreUnavailable, match=r"is damaged, so nothing is written. Stop Tandem and restore"
        ):
            await commit_all(store, "labels", label(1))
        with pytest.raises(StoreUnavailable, match="is damaged"):
            await store.ping()
    await store.close()
    await store.open()
    await commit_all(store, "labels", label(1))
    await store.ping()


@pytest.mark.parametrize("is_written_back", [True, False])
async def test_a_database_that_another_program_vacuumed_goes_on(
    store: MontyRecordStore, tmp_path: Path, *, is_written_back: bool
) -> None:
    database = tmp_path / "data" / DATABASE
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("CREATE TABLE junk AS SELECT zeroblob(100000) FROM pragma_function_list LIMIT 50")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await commit_all(store, "tasks", task(3))
        large = database.stat().st_size
        other.execute("DROP TABLE junk")
        other.execute("VACUUM")
        if is_written_back:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert database.stat().st_size < large / 2
    store.require_files()
    await commit_all(store, "tasks", task(4))
    store.require_files()
    await store.close()
    await require_tasks(tmp_path / "data", 1, 2, 3, 4)
    await store.open()
