"""A writing process is killed at random moments: what it acknowledged is there, and nothing is there by half."""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.records.criteria import AllOf, Equals, Order, Question
from adapters.records.record import VERSION
from adapters.records.record_store import StoreRefused
from tests.unit.adapters.monty.crash_writer import WRITERS
from tests.unit.contracts.builders import fetched, numbered_id

START_SECONDS_MAX = 60
ROOT = Path(__file__).parents[4]


def start_writer(directory: Path, notes: Path, *, writing_back: str = "seldom") -> subprocess.Popen[bytes]:
    """A writer that has acknowledged something since it was started."""
    before = notes.stat().st_size if notes.exists() else 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    writer = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.unit.adapters.monty.crash_writer",
            str(directory),
            str(notes),
            writing_back,
        ],
        env=environment,
        cwd=ROOT,
    )
    deadline = time.monotonic() + START_SECONDS_MAX
    while not (notes.exists() and notes.stat().st_size > before):
        assert writer.poll() is None, "the writer ended by itself"
        assert time.monotonic() < deadline, "the writer acknowledged nothing"
        time.sleep(0.005)
    return writer


def end(writer: subprocess.Popen[bytes]) -> None:
    writer.kill()
    writer.wait()


def acknowledged(notes: Path) -> dict[int, int]:
    """The last version each writer was told is stored."""
    latest: dict[int, int] = {}
    for line in notes.read_text().splitlines():
        number, version = line.split()
        latest[int(number)] = max(int(version), latest.get(int(number), 0))
    return latest


async def check(directory: Path, promised: dict[int, int]) -> None:
    store = MontyRecordStore(directory)
    await store.open()
    try:
        for number in range(WRITERS):
            await check_writer(store, number, promised.get(number, 0))
    finally:
        await store.close()


async def check_writer(store: MontyRecordStore, number: int, promised: int) -> None:
    task, label = await fetched(store, "tasks", number), await fetched(store, "labels", number)
    if task is None or label is None:
        assert task is label is None
        assert promised == 0
        return
    version = task[VERSION]
    assert version >= promised
    assert label[VERSION] == version
    assert task["externalKey"] == f"{number}/{version}"
    assert label["name"] == f"Label {number} at {version}"
    for collection in ("tasks", "labels"):
        of_record = AllOf((Equals("collection", collection), Equals("entityId", numbered_id(number))))
        entries = await store.find(
            Question(collection="audit_logs", where=of_record, order=Order(VERSION), limit=version + 1)
        )
        assert [entry[VERSION] for entry in entries] == list(range(1, version + 1))


async def kill_in_rounds(tmp_path: Path, *, rounds: int, writing_back: str) -> None:
    chance = random.Random(rounds)
    directory, notes = tmp_path / "data", tmp_path / "notes"
    for _ in range(rounds):
        writer = start_writer(directory, notes, writing_back=writing_back)
        await asyncio.sleep(chance.uniform(0, 0.4))
        end(writer)
        await check(directory, acknowledged(notes))


@pytest.mark.parametrize("writing_back", ["seldom", "often"])
async def test_a_killed_process_loses_nothing_and_leaves_nothing_by_half(
    tmp_path: Path, writing_back: str
) -> None:
    await kill_in_rounds(tmp_path, rounds=3, writing_back=writing_back)


@pytest.mark.torture
@pytest.mark.parametrize("writing_back", ["seldom", "often"])
async def test_a_process_killed_thirty_times_loses_nothing(tmp_path: Path, writing_back: str) -> None:
    await kill_in_rounds(tmp_path, rounds=30, writing_back=writing_back)


async def test_a_directory_in_use_is_refused_with_the_process_that_has_it(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    writer = start_writer(directory, tmp_path / "notes")
    store = MontyRecordStore(directory)
    try:
        with pytest.raises(StoreRefused, match=f"in use by process {writer.pid}.*another directory"):
            await store.open()
    finally:
        end(writer)
    await store.open()
    await store.close()
