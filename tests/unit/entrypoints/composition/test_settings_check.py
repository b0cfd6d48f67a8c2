"""Settings that name a store which takes part no more are told what to set."""

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.ownership import control
from adapters.ownership.control import Gate, Ownership, Role
from domain.migration import Phase
from entrypoints.composition.settings import Settings, read_settings
from entrypoints.composition.settings_check import agreement_of, contradiction_of
from entrypoints.composition.stores import build_store

OWNER = Ownership.of_owner("monty")
MIRROR = replace(OWNER.of_mirror("postgres"), phase=Phase.MIRRORING)
ARMED = OWNER.of_next_owner(MIRROR)
MOVED = replace(ARMED, gate=Gate.OPEN)
FORMER = OWNER.after_decision(MOVED)


def _settings(store: str, data_dir: Path | str = "unused") -> Settings:
    return read_settings(
        {
            "APP_ENV": "test",
            "STORE": store,
            "DATA_DIR": str(data_dir),
            "DUAL_WRITE_SOURCE": "monty",
            "POSTGRES_URL": "postgresql://nobody@127.0.0.1:1/none",
        }
    )


@pytest.mark.parametrize(
    ("store", "monty", "postgres", "remedy"),
    [
        ("dual", OWNER, MIRROR, None),
        ("dual", FORMER, MOVED, None),
        ("dual", FORMER, replace(MOVED, mirror_to=None, phase=Phase.FINISHED), "Set STORE=postgres."),
        ("dual", replace(OWNER, epoch=1), replace(MOVED, epoch=5), "STORE=postgres"),
        ("dual", None, None, None),
        ("monty", OWNER, None, None),
        ("monty", FORMER, None, "DUAL_WRITE_SOURCE=postgres and DUAL_WRITE_TARGET=monty"),
        ("monty", replace(FORMER, phase=Phase.FINISHED), None, "Start with STORE=postgres."),
        ("monty", replace(FORMER, role=Role.RETIRED), None, "Start with STORE=postgres."),
    ],
)
def test_settings_that_contradict_the_control_record_are_told_what_to_set(
    store: str, monty: Ownership | None, postgres: Ownership | None, remedy: str | None
) -> None:
    named = {"monty": monty, "postgres": postgres}
    records = {name: record for name, record in named.items() if record is not None}
    found = contradiction_of(_settings(store).stores, records)
    if remedy is None:
        assert found is None
    else:
        assert found is not None
        assert remedy in found.remedy


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_a_store_that_cannot_be_read_is_not_reported_as_checked(tmp_path: Path) -> None:
    agreement = await agreement_of(_settings("dual", tmp_path))
    assert agreement.message.startswith("Not known")
    assert _names(tmp_path) == []


async def test_the_owner_is_read_from_the_files(tmp_path: Path) -> None:
    settings = _settings("monty", tmp_path)
    store = build_store("monty", settings.stores)
    await store.open()
    await control.write(store, FORMER, over=None)
    await store.close()
    agreement = await agreement_of(settings)
    assert agreement.remedy is not None
    assert "postgres, which owns the writes since epoch 2" in agreement.message
