"""Every command ends with 2 where a setting cannot be used, names it, and prints no part of an address."""

from pathlib import Path

import pytest

from entrypoints.composition.installation import without_password
from tests.unit.entrypoints.cli.conftest import Tandem

COMMANDS = [
    ("config", "check"),
    ("serve",),
    ("worker",),
    ("migrate", "up"),
    ("migrate", "status"),
    ("sync", "status"),
    ("move", "status"),
    ("recover",),
    ("admin", "create", "demo@example.com"),
    ("demo",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_names_every_setting_that_it_cannot_use(
    tandem: Tandem, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("STORE", "postgres")
    monkeypatch.setenv("POSTGRES_URL", "postgresql://tandem:geheim%zz@db.example/x")
    monkeypatch.setenv("DB_NAME", "a.b")
    Path(".env").write_text("REQUIRE_IF_MATCH true\n")

    ended = tandem(*command)

    assert ended.code == 2
    assert "POSTGRES_URL cannot be read" in ended.err
    assert "DB_NAME must" in ended.err
    assert ".env, line 1 has no =" in ended.err
    assert "geheim" not in ended.out + ended.err
    assert "Traceback" not in ended.err


def test_doctor_reports_every_setting_that_it_cannot_use(
    tandem: Tandem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_URL", "postgresql://tandem:geheim%zz@db.example/x")
    Path(".env").write_text("REQUIRE_IF_MATCH true\n")

    ended = tandem("doctor")

    assert ended.code == 1
    assert "POSTGRES_URL cannot be read" in ended.out
    assert ".env, line 1 has no =" in ended.out
    assert "geheim" not in ended.out + ended.err


@pytest.mark.parametrize("url", ["http://[x", "http://h:geheim", "h:8000", "ftp://h"])
def test_an_address_of_a_service_that_is_none_is_wrong_use(tandem: Tandem, url: str) -> None:
    ended = tandem("sync", "status", "--url", url)
    assert ended.code == 2
    assert "--url" in ended.err


@pytest.mark.parametrize("address", ["u:geheim#x@h/n", "u:geheim?x@h/n", "u:geheim@h/n?password=geheim&a=b"])
def test_an_address_is_remembered_without_its_password(address: str) -> None:
    kept = without_password(f"postgresql://{address}")
    assert kept.startswith("postgresql://u@h/n")
    assert "geheim" not in kept
