"""Services over real stores that are copied, restored and swapped while they run or between their runs."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from adapters.records.criteria import EVERYTHING
from adapters.records.record import ID, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, SYNC_FIELDS
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.move import Move
from entrypoints.composition.settings import read_settings
from entrypoints.composition.start import start
from tests.unit.contracts.builders import change_set, entry, put, task

START_SECONDS_MAX = 90.0
"""A stand-in for MongoDB once did not answer for half a minute."""


def mongo_to_postgres(uri: str, *, name: str, postgres_url: str, directory: Path) -> dict[str, str]:
    """The settings of an installation that mirrors this database of MongoDB to PostgreSQL."""
    return {
        "APP_ENV": "test",
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": "mongo",
        "MONGODB_URI": uri,
        "DB_NAME": name,
        "POSTGRES_URL": postgres_url,
        "DATA_DIR": str(directory),
    }


@asynccontextmanager
async def serving(variables: Mapping[str, str], *, alone: bool = False) -> AsyncIterator[Container]:
    """The stores of one service with its relay, as `tandem serve` opens them."""
    settings = read_settings(variables)
    if alone:
        settings = replace(settings, stores=replace(settings.stores, is_alone=True))
    container = build_container(settings)
    stack = container.stack()
    try:
        await start(container, within_seconds=START_SECONDS_MAX)
        stack.start_relay()
        yield container
    finally:
        await stack.close()


async def write(container: Container, *numbers: int) -> None:
    """One new task for each number."""
    for number in numbers:
        change = put("tasks", task(number))
        await container.stack().store.commit(change_set(change, entries=[entry(change)]))


async def until_equal(container: Container, *, seconds: float = 15.0) -> None:
    """Waits until both stores hold the same tasks and entries, and nothing is undelivered."""
    source, target = container.stack().raw_stores
    async with asyncio.timeout(seconds):
        while True:
            await asyncio.sleep(0.1)
            entries = await source.scan(AUDIT_LOGS.collection, after=None, limit=5_000)
            is_delivered = all(one["syncStatus"] == "SYNCED" for one in entries)
            if is_delivered and await content(source) == await content(target):
                return


async def content(store: RecordStore) -> dict[str, list[Record]]:
    """The tasks and entries of a store, without what it says of its own copies."""
    return {
        name: [
            {key: value for key, value in record.items() if key not in SYNC_FIELDS}
            for record in await store.scan(name, after=None, limit=5_000)
        ]
        for name in ("tasks", AUDIT_LOGS.collection)
    }


async def task_ids(store: RecordStore) -> set[str]:
    """The ids of the tasks in a store."""
    assert await store.count("tasks", EVERYTHING) >= 0
    return {record[ID] for record in await store.scan("tasks", after=None, limit=5_000)}


async def until(condition: Callable[[], bool], *, seconds: float = 15.0) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.05)


async def until_connected(container: Container, *, seconds: float = 10.0) -> None:
    """Waits until the mirror delivers."""
    async with asyncio.timeout(seconds):
        while True:
            if await container.stack().direction.target_trouble() is None:
                return
            await asyncio.sleep(0.05)


async def verified(container: Container, *numbers: int) -> Move:
    """The move of an installation whose stores, with these tasks, were compared."""
    await write(container, *numbers)
    move: Move = container.migration()
    await until_connected(container)
    await move.backfill(lambda _: None, by="anna")
    assert (await move.verify(lambda _: None, by="anna")).is_clean
    return move


async def until_delivered(container: Container, *, seconds: float = 20.0) -> None:
    """Waits until nothing is undelivered."""
    async with asyncio.timeout(seconds):
        while True:
            if not await container.stack().direction.undelivered():
                return
            await asyncio.sleep(0.02)


def copied(directory: Path, name: str) -> Path:
    """A copy of a data directory of a process that does not run."""
    copy = directory.with_name(name)
    shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("owner.lock", "tandem.lock"))
    return copy
