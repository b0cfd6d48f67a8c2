"""The files of an embedded PostgreSQL disappear: where it is the target, requests go on without it."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from adapters.dual_write.settings import MirrorMode
from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore
from adapters.records.change_set import ChangeSet
from adapters.records.record_store import StoreRefused
from domain.audit import SyncStatus
from entrypoints.composition.stack_reports import until_files_are_gone
from tests.integration.failing_mirror import FailingMirror, failing_mirror
from tests.servers.directories import open_directory
from tests.servers.postgres import copy_cluster
from tests.unit.contracts.builders import change_set, label, put

NOTICE_SECONDS_MAX = 5.0
RECOVER_SECONDS_MAX = 20.0
CAUSE = "were removed while in use. Put them back, or restore a copy: it is used again within seconds."


def new_label(number: int) -> ChangeSet:
    return change_set(put("labels", label(number)))


def data_of(mirror: FailingMirror) -> Path:
    target = mirror.stack.direction.raw_target
    assert isinstance(target, EmbeddedPostgresRecordStore)
    with psycopg.connect(target.url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return Path(row[0])


def copy(data: Path, to: Path) -> None:
    """With owners and times, as a restored copy has them."""
    subprocess.run(["cp", "-a", data, to], check=True)


@pytest.mark.parametrize("is_copied", [False, True])
async def test_a_target_without_its_files_is_down_and_requests_go_on(*, is_copied: bool) -> None:
    async with failing_mirror("embedded", MirrorMode.MIRROR) as mirror:
        written = [new_label(1)]
        await mirror.write(*written)
        await mirror.seconds_until(
            written, lambda entry: entry["syncStatus"] == SyncStatus.SYNCED, seconds_max=RECOVER_SECONDS_MAX
        )
        watching = asyncio.create_task(until_files_are_gone(mirror.stack))
        data = await asyncio.to_thread(data_of, mirror)
        elsewhere = data.with_name("data2")
        shutil.move(data, elsewhere)
        await mirror.breaker_with(CAUSE, seconds_max=NOTICE_SECONDS_MAX)
        written.append(new_label(2))
        await mirror.write(written[-1])
        health = await mirror.health()
        assert (health["db"].status, health["target"].status) == ("UP", "DOWN")
        assert not watching.done()
        if is_copied:
            await asyncio.to_thread(copy, elsewhere, data)
        else:
            shutil.move(elsewhere, data)
        await mirror.seconds_until(
            written, lambda entry: entry["syncStatus"] == SyncStatus.SYNCED, seconds_max=RECOVER_SECONDS_MAX
        )
        await mirror.until_up(seconds_max=RECOVER_SECONDS_MAX)
        watching.cancel()


async def test_an_owner_without_its_files_must_not_go_on() -> None:
    with open_directory() as directory:
        copy_cluster(directory / "postgres")
        store = EmbeddedPostgresRecordStore(directory / "postgres")
        await store.open()
        try:
            store.require_files()
            shutil.move(directory / "postgres" / "data", directory / "postgres" / "data2")
            with pytest.raises(StoreRefused, match=r"removed while in use.*then start Tandem again"):
                store.require_files()
            # Another copy in the same place is not what the server has opened.
            await asyncio.to_thread(copy, directory / "postgres" / "data2", directory / "postgres" / "data")
            with pytest.raises(StoreRefused, match="removed while in use"):
                store.require_files()
        finally:
            await store.close()
