"""Steps of a move whose target does not answer: each says why, as health does, and a dry run changes nothing."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.ownership import control
from adapters.ownership.control import Held
from domain.migration import Phase
from entrypoints.cli.session import STORE_WAIT_SECONDS_MAX, current_settings
from entrypoints.composition.stores import build_store
from tests.unit.entrypoints.cli.conftest import NOWHERE, Tandem

CAUSE = "nothing listens"
LOOKS = [
    "move backfill --dry-run", "move backfill --new-target --dry-run", "move verify --full --dry-run",
    "move repair --dry-run", "recover --dry-run", "move preflight"
]  # fmt: skip
STEPS = ["move verify --full --wait", "move repair --wait", "move backfill --wait", "recover --wait"]


@pytest.fixture(autouse=True)
def _mirrored_nowhere(tandem: Tandem, beads_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation whose target has never answered."""
    monkeypatch.setenv("STORE", "dual")
    monkeypatch.setenv("DUAL_WRITE_SOURCE", "monty")
    monkeypatch.setenv("POSTGRES_URL", NOWHERE)
    assert tandem("import", "--format", "beads", str(beads_file)).code == 0


@pytest.mark.parametrize("command", [*LOOKS, *STEPS])
def test_a_step_names_the_cause_for_which_the_target_does_not_answer(tandem: Tandem, command: str) -> None:
    before = asyncio.run(_held())
    ended = tandem(*command.split())
    assert (ended.code, CAUSE in ended.err) == (3, True), ended
    assert "is not open" not in ended.err
    after = asyncio.run(_held())
    assert (after.ownership.phase, after.ownership.mirror_to) == (Phase.MIRRORING, "postgres")
    assert command not in LOOKS or after == before


@pytest.mark.parametrize("command", ["rehearse", "cutover"])
def test_a_dry_run_shows_the_guards_and_that_the_target_does_not_answer(tandem: Tandem, command: str) -> None:
    asyncio.run(_put_in(Phase.VERIFIED))
    ended = tandem("move", command, "--dry-run", "--json")
    (guard,) = [one for one in ended.view["guards"] if one["code"] == "target"]
    assert (ended.code, guard["green"], CAUSE in guard["detail"]) == (3, False, True)
    forced = tandem("move", "cutover", "--force", "a test")
    assert (forced.code, CAUSE in forced.err) == (3, True)
    assert asyncio.run(_held()).ownership.phase is Phase.VERIFIED


def test_the_last_steps_name_it_too(tandem: Tandem) -> None:
    asyncio.run(_put_in(Phase.CUT_OVER))
    for words in (("finish", "--dry-run"), ("finish",)):
        ended = tandem("move", *words)
        assert (ended.code, CAUSE in ended.err) == (3, True), ended
    asyncio.run(_put_in(Phase.FINISHED))
    ended = tandem("move", "retire", "--dry-run")
    assert (ended.code, CAUSE in ended.err) == (3, True), ended


def test_what_needs_no_target_is_still_possible(tandem: Tandem) -> None:
    assert tandem("move", "verify", "--self-test").code == 0
    asyncio.run(_put_in(Phase.VERIFIED))
    assert tandem("move", "route", "all", "--shadow", "10", "--dry-run").code == 0


def test_a_migration_does_not_wait_for_the_target_as_long_as_for_the_source(tandem: Tandem) -> None:
    began = time.monotonic()
    ended = tandem("migrate", "up")
    assert (ended.code, CAUSE in ended.err) == (3, True)
    assert time.monotonic() - began < STORE_WAIT_SECONDS_MAX


async def _held() -> Held:
    """The control record of the source."""
    store = build_store("monty", current_settings().stores)
    await store.open()
    try:
        held = await control.read(store)
        assert held is not None
        return held
    finally:
        await store.close()


async def _put_in(phase: Phase) -> None:
    """As if the steps up to this phase had been taken."""
    store = build_store("monty", current_settings().stores)
    await store.open()
    held = await control.read(store)
    assert held is not None
    mirror_to = None if phase is Phase.FINISHED else held.ownership.mirror_to
    await control.write(store, replace(held.ownership, phase=phase, mirror_to=mirror_to), over=held)
    await store.close()
