"""Commands without a service begin no installation, unless that is what they are for, and change none by reading it."""

from pathlib import Path

import pytest

from tests.unit.entrypoints.cli.command_tree import STORELESS, Line, command_lines
from tests.unit.entrypoints.cli.conftest import NOWHERE, Ended, Tandem

MONTY = {"STORE": "monty"}
EMBEDDED_TARGET = {"STORE": "dual", "POSTGRES_URL": "embedded"}
UNREACHABLE_TARGET = {"STORE": "dual", "POSTGRES_URL": NOWHERE}
EMBEDDED = {"STORE": "postgres", "POSTGRES_URL": "embedded"}
HINTS = ("tandem serve", "tandem migrate up", "start Tandem again", "Set MONGODB_URI")
"""What to do where nothing is stored."""

NOT_CREATING = [line for line in command_lines() if not line.creates]
READING = [
    line
    for line in NOT_CREATING
    if "--dry-run" in line.arguments
    or line.command
    in {
        ("doctor",),
        ("export",),
        ("migrate", "status"),
        ("move", "preflight"),
        ("move", "quarantine", "list"),
        ("move", "status"),
        ("sync", "failures"),
        ("sync", "history"),
        ("sync", "status"),
    }
]


def typed(line: Line) -> str:
    """The name of a test."""
    return " ".join((*line.command, *line.arguments))


def held_in(directory: Path) -> dict[str, bytes | None]:
    """Every directory and file below, with its content."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
    }


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def require_told(ended: Ended, line: Line) -> None:
    """The command has failed, and says what to type."""
    said = " ".join((ended.out + ended.err).split())
    assert "Traceback" not in said
    if line.command in STORELESS:
        return
    assert ended.code in (1, 2, 3), said
    assert any(hint in said for hint in HINTS), said


@pytest.mark.parametrize("line", NOT_CREATING, ids=typed)
def test_nothing_is_created_where_nothing_is_stored(
    tandem: Tandem, data_dir: Path, beads_file: Path, monkeypatch: pytest.MonkeyPatch, line: Line
) -> None:
    before = held_in(beads_file.parent)
    for variables in (MONTY, EMBEDDED, EMBEDDED_TARGET):
        with monkeypatch.context() as patch:
            set_all(patch, variables)
            ended = tandem(*line.words(beads_file))
        assert held_in(beads_file.parent) == before, variables
        require_told(ended, line)


@pytest.mark.parametrize("line", READING, ids=typed)
def test_reading_changes_nothing_that_is_stored(
    tandem: Tandem, beads_file: Path, monkeypatch: pytest.MonkeyPatch, line: Line
) -> None:
    assert tandem("demo").code == 0
    before = held_in(beads_file.parent)
    for variables in (MONTY, UNREACHABLE_TARGET):
        with monkeypatch.context() as patch:
            set_all(patch, variables)
            ended = tandem(*line.words(beads_file))
        assert "Traceback" not in ended.out + ended.err
        assert held_in(beads_file.parent) == before, variables


@pytest.mark.parametrize("line", NOT_CREATING, ids=typed)
def test_no_target_is_created_for_an_installation_without_one(
    tandem: Tandem, data_dir: Path, beads_file: Path, monkeypatch: pytest.MonkeyPatch, line: Line
) -> None:
    assert tandem("demo").code == 0
    before = {path.name for path in data_dir.iterdir()}
    set_all(monkeypatch, EMBEDDED_TARGET)

    ended = tandem(*line.words(beads_file))

    assert "Traceback" not in ended.out + ended.err
    assert {path.name for path in data_dir.iterdir()} == before
