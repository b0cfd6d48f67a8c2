"""SQLite's log stays bounded although there is always somebody who reads."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.monty.tuning import Tuning
from tests.unit.contracts.builders import commit_all, task

READ_SECONDS = 0.04
LOG_BYTES_MAX = 1_000_000
COMMITS = 40
TEXT = "x" * 100_000


def read_again_and_again(database: Path, ended: threading.Event, *, first_after: float) -> None:
    """Transactions that follow each other at once."""
    time.sleep(first_after)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        while not ended.is_set():
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM tasks").fetchall()
            time.sleep(READ_SECONDS)
            connection.execute("ROLLBACK")


@pytest.fixture
def overlapping_readers(tmp_path: Path) -> Iterator[list[threading.Thread]]:
    """Two readers, of whom one is always in the middle of a transaction once they are started."""
    ended, database = threading.Event(), tmp_path / "tandem.sqlite"
    readers = [
        threading.Thread(
            target=read_again_and_again,
            args=(database, ended),
            kwargs={"first_after": READ_SECONDS / 2 * place},
        )
        for place in range(2)
    ]
    yield readers
    ended.set()
    for reader in readers:
        reader.join()


async def test_the_log_is_bounded_while_reads_overlap(
    tmp_path: Path, overlapping_readers: list[threading.Thread]
) -> None:
    store = MontyRecordStore(tmp_path, tuning=Tuning(checkpoint_pages=10, log_bytes_max=LOG_BYTES_MAX))
    await store.open()
    for reader in overlapping_readers:
        reader.start()
    sizes = []
    for number in range(COMMITS):
        await commit_all(store, "tasks", task(number, description=TEXT))
        await asyncio.sleep(READ_SECONDS / 4)
        sizes.append((tmp_path / "tandem.sqlite-wal").stat().st_size)
    assert max(sizes) < LOG_BYTES_MAX + 2 * len(TEXT)
    assert len(await store.scan("tasks", after=None, limit=COMMITS)) == COMMITS
    await store.close()
