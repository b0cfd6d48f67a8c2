"""A table that somebody has changed in the file stops only what concerns it."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import Blocked
from domain.errors import StoreUnavailable
from tests.unit.adapters.monty.raw_documents import database_of
from tests.unit.contracts.builders import change_set, fetched, label, put, task

BROKEN = {
    "renamed table": ("ALTER TABLE labels RENAME TO kept", "ALTER TABLE kept RENAME TO labels"),
    "renamed column": ("ALTER TABLE labels RENAME doc TO kept", "ALTER TABLE labels RENAME kept TO doc"),
}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MontyRecordStore]:
    store = MontyRecordStore(tmp_path / "data")
    await store.open()
    yield store
    await store.close()


def _run(tmp_path: Path, statement: str) -> None:
    with closing(database_of(tmp_path / "data")) as stranger:
        stranger.execute("PRAGMA legacy_alter_table = ON")
        stranger.execute(statement)


@pytest.mark.parametrize("change", BROKEN)
async def test_mirrored_changes_of_other_tables_are_stored(
    store: MontyRecordStore, tmp_path: Path, change: str
) -> None:
    breaking, mending = BROKEN[change]
    _run(tmp_path, breaking)
    blocked, stored = await store.apply(
        [change_set(put("labels", label(1))), change_set(put("tasks", task(1)))]
    )
    assert isinstance(blocked, Blocked)
    assert (blocked.place, "changed by hand: " in blocked.cause) == ("labels", True)
    assert stored is None
    assert await fetched(store, "tasks", 1) is not None
    _run(tmp_path, mending)
    assert await store.apply([change_set(put("labels", label(1)))]) == [None]


@pytest.mark.parametrize("change", BROKEN)
async def test_requests_name_the_cause_and_others_are_carried_out(
    store: MontyRecordStore, tmp_path: Path, change: str
) -> None:
    _run(tmp_path, BROKEN[change][0])
    with pytest.raises(StoreUnavailable, match=r"changed by hand: .*restore a copy"):
        await store.commit(change_set(put("labels", label(1))))
    with pytest.raises(StoreUnavailable, match=r"changed by hand: .*restore a copy"):
        await fetched(store, "labels", 1)
    await store.commit(change_set(put("tasks", task(1))))
    assert await fetched(store, "tasks", 1) is not None
