"""Whatever is left of SQLite's log, a change set is there as a whole or not at all."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.monty.tuning import Tuning
from adapters.records.record import VERSION
from tests.unit.contracts.builders import change_set, fetched, label, put, task

VERSIONS = 30
PAGE_BYTES = 4_096
NEVER = Tuning(checkpoint_pages=1_000_000)


async def write_versions(store: MontyRecordStore, versions: range) -> None:
    """Change sets of a task and a label that always have the same version, with texts of several pages."""
    for version in versions:
        text = f"{version} " * 3_000
        one = put("tasks", task(1, version=version, description=text, externalKey=str(version)))
        other = put("labels", label(1, version=version, name=f"Label {version}"))
        await store.commit(change_set(one, other))


async def version_in(directory: Path) -> int:
    """The version that both records have, with all entries up to it and none above."""
    store = MontyRecordStore(directory)
    await store.open()
    try:
        one, other = await fetched(store, "tasks", 1), await fetched(store, "labels", 1)
        if one is None or other is None:
            assert one is other is None
            assert await store.scan("audit_logs", after=None, limit=5_000) == []
            return 0
        version: int = one[VERSION]
        assert (other[VERSION], other["name"], one["externalKey"]) == (
            version,
            f"Label {version}",
            str(version),
        )
        assert one["description"].startswith(f"{version} ")
        entries = await store.scan("audit_logs", after=None, limit=5_000)
        assert sorted(entry[VERSION] for entry in entries) == sorted([*range(1, version + 1)] * 2)
        return version
    finally:
        await store.close()


@pytest.fixture
async def copied(tmp_path: Path) -> Path:
    """Database and log as a power cut leaves them, with some versions in either."""
    store = MontyRecordStore(tmp_path / "data")
    await store.open()
    await write_versions(store, range(1, 6))
    await store.close()
    store = MontyRecordStore(tmp_path / "data", tuning=NEVER)
    await store.open()
    await write_versions(store, range(6, VERSIONS + 1))
    copied = shutil.copytree(tmp_path / "data", tmp_path / "copied")
    await store.close()
    return copied


@pytest.mark.parametrize("copies", [20, pytest.param(200, marks=pytest.mark.torture)])
async def test_a_torn_or_flipped_log_never_shows_half_a_change_set(
    copied: Path, tmp_path: Path, copies: int
) -> None:
    chance = random.Random(copies)
    log = (copied / "tandem.sqlite-wal").read_bytes()
    found = set()
    for number in range(copies):
        directory = shutil.copytree(copied, tmp_path / f"copy {number}")
        damaged = bytearray(log)
        if number % 2:
            del damaged[chance.randrange(len(log)) :]
        else:
            damaged[chance.randrange(len(log))] ^= 1 << chance.randrange(8)
        (directory / "tandem.sqlite-wal").write_bytes(damaged)
        found.add(await version_in(directory))
        shutil.rmtree(directory)
    assert len(found) > 5
    assert found <= {*range(5, VERSIONS + 1)}


@pytest.mark.parametrize("copies", [15, pytest.param(150, marks=pytest.mark.torture)])
async def test_a_crash_in_the_middle_of_a_checkpoint_loses_nothing(
    copied: Path, tmp_path: Path, copies: int
) -> None:
    """A checkpoint has written some pages, in any order, one of them perhaps in part; the log is still whole."""
    chance = random.Random(copies)
    before = (copied / "tandem.sqlite").read_bytes()
    done = shutil.copytree(copied, tmp_path / "done") / "tandem.sqlite"
    with closing(sqlite3.connect(done)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    after = done.read_bytes()
    pages = range(0, len(after), PAGE_BYTES)
    for number in range(copies):
        database = bytearray(before.ljust(len(after), b"\0"))
        for start in chance.sample(pages, chance.randrange(len(pages))):
            database[start : start + PAGE_BYTES] = after[start : start + PAGE_BYTES]
        torn = chance.choice(pages)
        database[torn : torn + 512] = after[torn : torn + 512]
        directory = shutil.copytree(copied, tmp_path / f"copy {number}")
        (directory / "tandem.sqlite").write_bytes(database)
        assert await version_in(directory) == VERSIONS
        shutil.rmtree(directory)
