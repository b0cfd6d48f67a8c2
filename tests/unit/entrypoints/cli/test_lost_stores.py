"""Commands without a service never recommend to create a store where a start refuses one."""

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.ownership import control
from adapters.ownership.control import Ownership, Peer
from entrypoints.cli.session import current_settings
from entrypoints.composition.stores import build_store
from tests.unit.entrypoints.cli.conftest import Tandem

READING = [("doctor",), ("sync", "status"), ("sync", "failures"), ("config", "check"), ("migrate", "status")]
SERVED_BEFORE = "is empty, although this data directory has served an installation before"


def said_by(tandem: Tandem, commands: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """What each command prints, which must not end well."""
    said = {}
    for words in commands:
        ended = tandem(*words)
        assert ended.code != 0, words
        said[words] = " ".join((ended.out + ended.err).split())
    return said


def test_a_lost_store_is_to_be_restored_and_not_created_anew(tandem: Tandem, data_dir: Path) -> None:
    assert tandem("demo").code == 0
    shutil.rmtree(data_dir / "monty")

    for words, text in said_by(tandem, READING).items():
        assert SERVED_BEFORE in text, words
        assert str(data_dir / "last-seen") in text, words
        assert "create" not in text, words
        assert "No store belongs to an installation" not in text, words
    assert not (data_dir / "monty").exists()


def test_a_store_is_created_where_none_was_lost(tandem: Tandem, data_dir: Path) -> None:
    said = tandem("doctor")
    assert "To create one, type: tandem serve" in said.out
    assert "No store belongs to an installation yet." in said.out
    assert not data_dir.exists()


@pytest.mark.parametrize("reading", [("doctor",), ("export", "--format", "beads"), ("migrate", "status")])
def test_a_copy_without_its_identity_is_read_as_the_store_that_it_is(
    tandem: Tandem, data_dir: Path, reading: tuple[str, ...]
) -> None:
    assert tandem("demo").code == 0
    held = tandem("export", "--format", "beads").out
    put_back_copy(data_dir / "monty")
    before = sorted((data_dir / "monty").iterdir())

    ended = tandem(*reading)

    assert (ended.code, SERVED_BEFORE in ended.out + ended.err) == (0, False), ended
    assert sorted((data_dir / "monty").iterdir()) == before
    assert tandem("export", "--format", "beads").out == held
    assert tandem("admin", "create", "anna@example.com").code == 0
    assert (data_dir / "monty" / "tandem.identity").exists()


def put_back_copy(directory: Path) -> None:
    """Copies a store, and puts the copy in its place as the guide says."""
    path = directory / "tandem.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", [str(directory.parent / "copy.sqlite")])
    for suffix in ("sqlite-wal", "sqlite-shm", "identity"):
        path.with_suffix(f".{suffix}").unlink(missing_ok=True)
    (directory.parent / "copy.sqlite").replace(path)


def test_an_empty_file_without_an_identity_is_no_store(tandem: Tandem, data_dir: Path) -> None:
    path = data_dir / "monty" / "tandem.sqlite"
    path.parent.mkdir(parents=True)
    path.touch()

    ended = tandem("sync", "status")

    assert (ended.code, "There is no MontyDB store" in ended.err) == (3, True)
    assert (path.stat().st_size, list(path.parent.iterdir())) == (0, [path])


def test_a_file_that_does_not_say_what_was_seen_is_named(tandem: Tandem, data_dir: Path) -> None:
    assert tandem("demo").code == 0
    shutil.rmtree(data_dir / "monty")
    (data_dir / "last-seen").write_text("{")
    for words, text in said_by(tandem, READING).items():
        assert "cannot be read or is damaged" in text, words


def test_a_lost_target_is_to_be_restored_or_filled_anew(
    tandem: Tandem, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tandem("demo").code == 0
    monkeypatch.setenv("STORE", "dual")
    monkeypatch.setenv("POSTGRES_URL", "embedded")
    owner = asyncio.run(mirrored())
    assert owner.peer is not None

    ended = tandem("doctor")

    assert "This postgres store is empty or was emptied" in ended.out
    assert "tandem move backfill --new-target" in ended.out
    assert "To create it" not in ended.out


async def mirrored() -> Ownership:
    """Notes in the source that a target was filled."""
    store = build_store("monty", current_settings().stores)
    await store.open()
    try:
        held = await control.read(store)
        assert held is not None
        ownership = replace(held.ownership, peer=Peer("postgres", 1), mirror_to="postgres")
        return (await control.write(store, ownership, over=held)).ownership
    finally:
        await store.close()


def test_a_lost_target_is_created_by_no_command_but_the_one_that_fills_it(
    tandem: Tandem, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tandem("demo").code == 0
    monkeypatch.setenv("STORE", "dual")
    monkeypatch.setenv("POSTGRES_URL", "embedded")
    asyncio.run(mirrored())
    before = {path.name for path in data_dir.iterdir()}

    refused = [tandem("admin", "purge"), tandem("move", "backfill")]

    assert {path.name for path in data_dir.iterdir()} == before
    for ended in refused:
        assert ended.code == 3
        assert "tandem move backfill --new-target" in ended.err
