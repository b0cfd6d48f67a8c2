"""Commands without a service leave a PostgreSQL target as it is that does not belong to the installation."""

from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.unit.entrypoints.cli.command_tree import Line, command_lines
from tests.unit.entrypoints.cli.conftest import Tandem

NOT_CREATING = [line for line in command_lines() if not line.creates]
SURVIVING = [line for line in NOT_CREATING if "--from-target" in line.arguments]
"""What somebody types, with a reason, whose data directory is lost: the target is all that is left."""
Rows = dict[str, list[tuple[object, ...]]]


def rows_in(url: str) -> Rows:
    """Every row of every table."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {
            name: connection.execute(
                sql.SQL("SELECT * FROM {} ORDER BY 1").format(sql.Identifier(name))
            ).fetchall()
            for (name,) in sorted(tables)
        }


@pytest.fixture
def target(postgres_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database, which the settings name as the target."""
    monkeypatch.setenv("STORE", "dual")
    monkeypatch.setenv("POSTGRES_URL", postgres_url)
    return postgres_url


@pytest.fixture
def target_of_another(
    target: str, tandem: Tandem, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The target of an installation in another directory."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "other"))
    assert tandem("demo").code == 0
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    return target


def require_untouched(
    tandem: Tandem, beads_file: Path, url: str, *, data_dir: Path, lines: Sequence[Line] = NOT_CREATING
) -> None:
    """Types every command that creates nothing; the target holds the same rows afterwards."""
    before, had_directory = rows_in(url), data_dir.exists()
    for line in lines:
        ended = tandem(*line.words(beads_file))
        assert "Traceback" not in ended.out + ended.err, line
        assert rows_in(url) == before, line
        assert data_dir.exists() == had_directory, line


def test_no_command_fills_an_empty_target_from_nothing(
    tandem: Tandem, beads_file: Path, data_dir: Path, target: str
) -> None:
    require_untouched(tandem, beads_file, target, data_dir=data_dir)
    assert rows_in(target) == {}


def test_no_command_in_an_empty_directory_touches_the_target_of_another_installation(
    tandem: Tandem, beads_file: Path, data_dir: Path, target_of_another: str
) -> None:
    lines = [line for line in NOT_CREATING if line not in SURVIVING]
    require_untouched(tandem, beads_file, target_of_another, data_dir=data_dir, lines=lines)
    assert rows_in(target_of_another)["tandem_control"]


def test_no_command_claims_a_target_for_an_installation_that_has_none(
    tandem: Tandem, beads_file: Path, data_dir: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE", "monty")
    assert tandem("demo").code == 0
    monkeypatch.setenv("STORE", "dual")
    require_untouched(tandem, beads_file, target, data_dir=data_dir)
    assert rows_in(target) == {}
