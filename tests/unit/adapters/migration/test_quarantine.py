"""Records that cannot be carried over are kept by name until somebody decides, and hold up no other."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adapters.migration.quarantine import Quarantine
from adapters.migration.second_try import SecondTry
from adapters.migration.skipped import skip
from adapters.monty.record_store import MontyRecordStore
from adapters.records.change_set import ChangeSet
from domain.errors import Conflict, NotFound
from tests.unit.adapters.migration.backfill_world import backfill, commit, fill, ignore, two_stores
from tests.unit.contracts.builders import fetched, found_numbers, label, numbered_id, put, task


async def test_a_rejected_record_is_kept_with_its_reason_and_content() -> None:
    async with two_stores() as (source, target):
        await target.apply([ChangeSet((put("labels", label(99, name="bug")),))])
        for number in (1, 2, 3):
            await commit(
                source, put("labels", label(number, name="bug" if number == 2 else f"Label {number}"))
            )
        run = backfill(source, target)
        await run.run(ignore)
        (kept,) = await run.quarantine.all()
        assert (kept.collection, kept.record_id, kept.decision) == ("labels", numbered_id(2), None)
        assert "nameKey" in kept.reason
        assert '"name":"bug"' in kept.raw
        assert '{"$date":"2025-03-01T12:30:15.123Z"}' in kept.raw
        assert await found_numbers(target, "labels") == [1, 3, 99]


async def test_a_value_that_is_free_at_the_end_is_loaded_after_all() -> None:
    async with two_stores() as (source, target):
        await target.apply([ChangeSet((put("labels", label(2, name="bug")),))])
        await source.commit(ChangeSet((put("labels", label(1, name="bug")),)))
        await source.commit(ChangeSet((put("labels", label(2, version=2, name="idea"), expected=0),)))
        run = backfill(source, target, page_max=1)
        await run.run(ignore)
        assert await run.quarantine.all() == []
        assert await found_numbers(target, "labels") == [1, 2]


async def test_fix_tries_again_and_skip_stays_with_its_reason() -> None:
    async with two_stores() as (source, target):
        await target.apply([ChangeSet((put("labels", label(99, name="bug")),))])
        await commit(source, put("labels", label(1, name="bug")))
        await commit(source, put("labels", label(2, name="idea")))
        run = backfill(source, target)
        await run.run(ignore)
        (kept,) = await run.quarantine.all()
        second_try = SecondTry(source, target)
        with pytest.raises(Conflict, match="still cannot be carried over"):
            await second_try.fix(kept.id, reason="Perhaps")
        skipped = await skip(run.quarantine, source, kept.id, because="Nobody uses it")
        assert (skipped.decision, skipped.decided_because) == ("skip", "Nobody uses it")
        assert await run.quarantine.undecided_in("labels") == []
        await source.commit(ChangeSet((put("labels", label(1, version=2, name="worm")),)))
        fixed = await second_try.fix(kept.id, reason="Renamed")
        assert fixed.decision == "fix"
        assert await run.quarantine.all() == []
        assert await fetched(target, "labels", 1) is not None
        with pytest.raises(NotFound):
            await skip(run.quarantine, source, "quarantine:labels:none", because="")


async def test_too_many_end_the_backfill() -> None:
    async with two_stores() as (source, _):
        quarantine = Quarantine(source, quarantine_max=2)
        for number in (1, 2, 2):
            await quarantine.add("tasks", numbered_id(number), reason="No.", raw="{}")
        with pytest.raises(Conflict, match="More than 2 records"):
            await quarantine.add("tasks", numbered_id(3), reason="No.", raw="{}")


async def test_a_damaged_record_is_kept_with_its_bytes_and_stops_nothing(tmp_path: Path) -> None:
    source = MontyRecordStore(tmp_path)
    await source.open()
    await fill(source, tasks=120)
    await source.close()
    for number in (7, 8, 90):
        with closing(sqlite3.connect(tmp_path / "tandem.sqlite")) as file, file:
            ((document,),) = file.execute(
                "SELECT doc FROM tasks WHERE id = ?", [numbered_id(number)]
            ).fetchall()
            file.execute("UPDATE tasks SET doc = ? WHERE id = ?", [document[:-9], numbered_id(number)])
    await source.open()
    async with two_stores() as (_, target):
        run = backfill(source, target)
        await run.run(ignore)
        kept = await run.quarantine.all()
        assert [one.record_id for one in kept] == [numbered_id(number) for number in (7, 8, 90)]
        assert all('"$binary"' in one.raw for one in kept)
        assert len(await target.scan("tasks", after=None, limit=999)) == 117
        assert await fetched(target, "tasks", 120) is not None
        assert task(120)["id"] == numbered_id(120)
    await source.close()
