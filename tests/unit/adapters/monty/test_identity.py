"""A directory belongs to one store and its owner, and nothing that was there is replaced by an empty store."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.monty.sqlite_file import require_features
from adapters.records.record_store import StoreRefused
from tests.unit.adapters.monty.raw_documents import database_of
from tests.unit.contracts.builders import commit_all, fetched, task

NOBODY = 65534


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    """The directory of a closed store that holds one task."""
    store = MontyRecordStore(tmp_path / "deep" / "data")
    await store.open()
    await commit_all(store, "tasks", task(1))
    await store.close()
    return tmp_path / "deep" / "data"


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def rights_in(directory: Path) -> dict[str, int]:
    """The permission bits of the directory and its files."""
    return {path.name: path.stat().st_mode & 0o777 for path in (directory, *directory.iterdir())}


def set_rights(directory: Path, *, of_directory: int, of_files: int) -> None:
    directory.chmod(of_directory)
    for path in directory.iterdir():
        path.chmod(of_files)


async def require_refused(directory: Path, reason: str) -> None:
    """Opening is refused for this reason, twice: the first refusal has changed nothing."""
    before = names_in(directory)
    for _ in range(2):
        with pytest.raises(StoreRefused, match=reason):
            await MontyRecordStore(directory).open()
    assert names_in(directory) == before


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights that root has over every file; other accounts never have them."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


async def test_only_the_owner_can_read_the_directory_and_its_files(directory: Path) -> None:
    store = MontyRecordStore(directory)
    await store.open()
    await commit_all(store, "tasks", task(2))
    rights = rights_in(directory)
    await store.close()
    assert rights.pop("data") == 0o700
    assert set(rights.values()) == {0o600}
    assert {"tandem.sqlite", "tandem.sqlite-wal", "tandem.identity", "tandem.lock"} <= set(rights)


async def test_rights_that_others_were_given_are_taken_back(directory: Path) -> None:
    set_rights(directory, of_directory=0o755, of_files=0o644)
    store = MontyRecordStore(directory)
    await store.open()
    await store.close()
    assert set(rights_in(directory).values()) == {0o700, 0o600}


@pytest.mark.parametrize("is_emptied", [False, True])
async def test_a_known_directory_without_its_database_is_refused(directory: Path, is_emptied: bool) -> None:
    (directory / "tandem.sqlite").unlink()
    if is_emptied:
        (directory / "tandem.sqlite").touch(0o600)
    await require_refused(directory, "missing or empty.*restore it from a copy, without.*or remove")
    (directory / "tandem.sqlite").unlink(missing_ok=True)
    (directory / "tandem.identity").unlink()
    store = MontyRecordStore(directory)
    await store.open()
    assert await store.scan("tasks", after=None, limit=9) == []
    await store.close()


async def test_the_database_of_another_store_is_refused(directory: Path, tmp_path: Path) -> None:
    other = MontyRecordStore(tmp_path / "other")
    await other.open()
    await other.close()
    (tmp_path / "other" / "tandem.sqlite").replace(directory / "tandem.sqlite")
    await require_refused(directory, "belongs to another store: restore the right one")


async def test_a_database_without_its_tables_is_refused(directory: Path) -> None:
    (directory / "tandem.sqlite").unlink()
    with closing(sqlite3.connect(directory / "tandem.sqlite")) as stranger:
        stranger.execute("PRAGMA journal_mode = WAL")
        stranger.execute("CREATE TABLE something(else_)")
    await require_refused(directory, "move them away and restore a copy")


async def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "tandem.sqlite")) as stranger:
        stranger.execute("PRAGMA journal_mode = WAL")
        stranger.execute("CREATE TABLE something(else_)")
    with pytest.raises(StoreRefused, match="belongs to another program: choose another directory"):
        await MontyRecordStore(tmp_path).open()


async def test_a_database_of_a_later_version_is_refused(directory: Path) -> None:
    with closing(database_of(directory)) as connection:
        connection.execute("UPDATE store_identity SET format = format + 1")
    await require_refused(directory, "by a later version of Tandem: start that version")


async def test_a_copy_of_the_database_alone_is_accepted(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (directory / "tandem.sqlite").rename(tmp_path / "copy" / "tandem.sqlite")
    store = MontyRecordStore(tmp_path / "copy")
    await store.open()
    assert await fetched(store, "tasks", 1) == task(1)
    await store.close()
    assert (tmp_path / "copy" / "tandem.identity").read_text() == (directory / "tandem.identity").read_text()


@pytest.mark.parametrize("name", ["tandem.journal", "tandem/tasks.collection"])
async def test_files_of_the_earlier_format_are_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("something")
    await require_refused(tmp_path, "in an unsupported format from before the first release: move them away")
    assert (tmp_path / name).read_text() == "something"


async def test_a_directory_that_cannot_be_written_is_refused_and_left_as_it_is(directory: Path) -> None:
    set_rights(directory, of_directory=0o555, of_files=0o444)
    with as_nobody(), pytest.raises(StoreRefused, match="this process can write there"):
        await MontyRecordStore(directory).open()
    set_rights(directory, of_directory=0o700, of_files=0o600)
    store = MontyRecordStore(directory)
    await store.open()
    assert await fetched(store, "tasks", 1) == task(1)
    await store.close()


@pytest.mark.parametrize(
    ("version", "modules", "found"),
    [((3, 35, 5), ["fts5"], r"SQLite 3\.35\.5,"), ((3, 45, 1), ["rtree"], r"SQLite 3\.45\.1 without FTS5,")],
)
def test_an_sqlite_that_lacks_something_is_refused_with_a_remedy(
    version: tuple[int, ...], modules: list[str], found: str
) -> None:
    with pytest.raises(StoreRefused, match=f"{found}.*needs 3.36 or later with the FTS5.*STORE=postgres"):
        require_features(version, modules)


def test_an_sqlite_that_has_everything_is_accepted() -> None:
    require_features((3, 36, 0), ["fts5"])
