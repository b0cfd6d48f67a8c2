import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.cli.program import run
from entrypoints.cli.program import tandem as command_tree
from tests.unit.entrypoints.cli.conftest import Tandem

COMMANDS = [
    ("serve",),
    ("worker",),
    ("migrate", "up"),
    ("migrate", "down"),
    ("migrate", "status"),
    ("sync", "status"),
    ("sync", "failures"),
    ("sync", "retry"),
    ("sync", "history"),
    ("doctor",),
    ("config", "check"),
    ("import",),
    ("export",),
    ("admin", "token"),
    ("admin", "grant"),
    ("admin", "purge"),
    ("demo",),
]

START = """
import entrypoints.cli.serve, entrypoints.http.app
import adapters.embedded_postgres.record_store, adapters.monty.record_store, application.demonstration, sys
print(*sys.modules)
"""
"""Imports what a start with two stores imports."""


def test_a_start_loads_no_module_that_only_other_commands_need() -> None:
    ended = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert "litestar" in loaded
    assert loaded & {"alembic", "rich", "sqlalchemy", "pymongo", "redis", "entrypoints.cli.doctor"} == set()


@pytest.mark.parametrize(
    "words",
    [
        ("import", "--format", "beads", "--project", "caf\udce9", __file__),
        ("import", "--format", "caf\udce9", __file__),
        ("export", "--project", "caf\udce9"),
        ("sync", "retry", "tasks", "caf\udce9"),
        ("sync", "history", "caf\udce9", "0" * 24),
        ("sync", "discard", "tasks", "0" * 24, "--reason", "caf\udce9"),
        ("move", "quarantine", "skip", "caf\udce9", "--reason", "No."),
        ("move", "cutover", "--force", "caf\udce9"),
        ("admin", "create", "caf\udce9@example.org"),
        ("caf\udce9",),
    ],
)
def test_an_argument_that_is_not_utf8_is_wrong_use(tandem: Tandem, words: tuple[str, ...]) -> None:
    ended = tandem(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_a_json_option(tandem: Tandem, words: tuple[str, ...]) -> None:
    ended = tandem(*words, "--help")
    assert ended.code == 0
    assert "--json" in ended.out
    assert f"Usage: tandem {' '.join(words)}" in ended.out


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("sync",),
        ("dance",),
        ("sync", "status", "tasks"),
        ("sync", "retry"),
        ("sync", "retry", "tasks", "a" * 24, "--all"),
        ("sync", "history", "tasks"),
        ("migrate", "down"),
        ("import", "--format", "beads", "nowhere.jsonl"),
        ("serve", "--port", "66000"),
        ("worker",),
    ],
    ids=" ".join,
)
def test_wrong_use_exits_with_2_and_no_traceback(tandem: Tandem, words: tuple[str, ...]) -> None:
    ended = tandem(*words)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err
    assert "Traceback" not in ended.err


def test_all_invalid_settings_are_shown_at_once(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "shoebox")
    monkeypatch.setenv("PORT", "many")
    monkeypatch.setenv("RATE_LIMIT", "lots")
    ended = tandem("serve")
    assert ended.code == 2
    assert [name for name in ("STORE", "PORT", "RATE_LIMIT") if name not in ended.err] == []


def test_a_failure_is_json_too(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "shoebox")
    ended = tandem("config", "check", "--json")
    assert ended.code == 2
    assert ended.view["error"]["code"] == "settings"
    assert ended.view["error"]["details"] == ["STORE must be one of monty, mongo, postgres, dual"]


def test_a_service_elsewhere_is_asked_only_with_its_key(tandem: Tandem, data_dir: Path) -> None:
    ended = tandem("sync", "status", "--url", "http://127.0.0.1:1")
    assert ended.code == 2
    assert f"There is no signing key in {data_dir}" in ended.err
    assert not data_dir.exists()


def test_a_service_that_does_not_answer_exits_with_3(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE_KEY", tandem("keys", "new", "--json").view["privateKey"])
    ended = tandem("sync", "status", "--url", "http://127.0.0.1:1")
    assert ended.code == 3
    assert "does not answer" in ended.err


def test_the_settings_are_described_without_secrets(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "dual")
    monkeypatch.setenv("POSTGRES_URL", "postgresql://anna:open-sesame@127.0.0.1:1/x")
    ended = tandem("config", "check", "--json")
    assert ended.code == 0
    assert ended.view["source"].startswith("MontyDB in ")
    assert ended.view["mode"] == "mirror"
    assert "open-sesame" not in ended.out


def test_the_environment_takes_precedence_over_the_env_file(
    tandem: Tandem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nMONTY_STORAGE=memory\nSTORE=postgres\n")
    ended = tandem("config", "check", "--json")
    assert ended.view["address"] == "http://127.0.0.1:9001"
    assert ended.view["source"] == "MontyDB in memory (lost when the process ends)"


def test_a_bug_does_not_exit_like_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(console: object) -> None:
        raise ZeroDivisionError

    command = command_tree.command("broken")(broken)
    try:
        assert run(["broken"]) == 70
    finally:
        del command_tree.commands[str(command.name)]
    assert "ZeroDivisionError" in capsys.readouterr().err
