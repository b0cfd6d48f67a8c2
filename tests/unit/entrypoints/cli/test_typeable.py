"""Commands in texts are written as they can be typed where they are shown."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrypoints.cli.console import Console, program_name, typeable
from entrypoints.cli.program import run


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The program under a path that the shell does not search."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    usual, sys.argv[0] = sys.argv[0], str(tmp_path / ".venv" / "bin" / "tandem")
    program_name.cache_clear()
    yield ".venv/bin/tandem"
    sys.argv[0] = usual
    program_name.cache_clear()


def test_a_command_is_named_with_its_path(program: str) -> None:
    assert typeable("Type: tandem export --help") == f"Type: {program} export --help"


def test_a_usage_error_names_the_path_once(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--nonsense"]) == 2
    assert f"Type: {program} export --help" in capsys.readouterr().err.splitlines()[-1].strip()
    assert typeable(f"Type: {program} export") == f"Type: {program} export"
    assert typeable(f"Type: /opt/{program} export") == f"Type: /opt/{program} export"


def test_a_table_names_commands_as_lines_do(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    Console(as_json=False).table(("guard", "detail"), [("rehearsal", "Type: tandem move rehearse")])
    assert f"Type: {program} move rehearse" in capsys.readouterr().out
