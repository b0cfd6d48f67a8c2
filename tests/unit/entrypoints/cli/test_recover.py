"""`tandem recover`, and what `config check` says after a loss."""

import asyncio
from dataclasses import replace

from adapters.ownership import control
from adapters.ownership.control import Ownership, Role
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.session import current_settings
from entrypoints.composition.stores import build_store
from tests.unit.entrypoints.cli.conftest import Tandem


def test_a_source_is_only_given_up_with_a_reason(tandem: Tandem) -> None:
    for arguments in (("--from-target",), ("--from-target", "--force", " ")):
        ended = tandem("recover", *arguments)
        assert (ended.code, "--force REASON" in ended.err) == (ExitCode.WRONG_USE, True)
    assert tandem("recover", "--force", "x").code == ExitCode.WRONG_USE


def test_a_single_store_has_no_target_that_could_take_over(tandem: Tandem) -> None:
    ended = tandem("recover", "--from-target", "--force", "The disk is broken.")
    assert ended.code == ExitCode.DIFFERENCE
    assert "STORE=dual" in ended.err


def test_settings_that_name_a_store_given_up_are_reported(tandem: Tandem) -> None:
    before = tandem("config", "check", "--json")
    assert (before.code, before.view["remedy"]) == (0, None)
    asyncio.run(_give_up_monty())
    ended = tandem("config", "check", "--json")
    assert (ended.code, ended.view["remedy"]) == (ExitCode.DIFFERENCE, "Start with STORE=postgres.")
    assert "postgres, which owns the writes since epoch 3" in ended.view["ownership"]
    doctor = tandem("doctor", "--json")
    settings = next(one for one in doctor.view["checks"] if one["subject"] == "settings")
    assert (settings["isFine"], settings["remedy"]) == (False, "Start with STORE=postgres.")


async def _give_up_monty() -> None:
    """A MontyDB that an operator has given up, because its target owns the writes."""
    store = build_store("monty", current_settings().stores)
    await store.open()
    given_up = replace(Ownership.of_owner("monty"), role=Role.RETIRED, owner="postgres", epoch=3)
    await control.write(store, given_up, over=None)
    await store.close()
