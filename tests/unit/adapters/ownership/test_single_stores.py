"""A store without a target: nothing is compared, and what was last seen of it is kept all the same."""

import json
from pathlib import Path

import pytest

from adapters.ownership.last_seen import LastSeen
from adapters.ownership.source_side import SourceSettings, SourceSide
from adapters.records.record_store import StoreRefused
from tests.unit.adapters.ownership.world import Database, View


async def started(database: Database, directory: Path) -> SourceSide:
    side = SourceSide(View(database), SourceSettings(target=None, last_seen=LastSeen(directory)))
    await side.enter()
    await side.begin_writes()
    return side


async def test_an_emptied_store_is_refused_and_nothing_is_written_into_it(tmp_path: Path) -> None:
    await started(await Database().opened(), tmp_path)
    empty = await Database().opened()
    with pytest.raises(StoreRefused, match=r"has served an installation before.*to begin anew"):
        await started(empty, tmp_path)
    assert await empty.store.scan("control", after=None, limit=9) == []


async def test_the_same_store_starts_again_and_the_file_is_written_once(tmp_path: Path) -> None:
    database = await Database().opened()
    side = await started(database, tmp_path)
    file = tmp_path / "last-seen"
    written = file.stat()
    assert json.loads(file.read_text())["onlyStore"] == side.store.name
    assert (await started(database, tmp_path)).refusal is None
    assert file.stat() == written
