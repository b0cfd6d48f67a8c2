"""How commands find the service on a data directory, whatever becomes of the files by which they do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from entrypoints.cli.running_service import SERVICE_FILE, SERVICE_LOCK, RunningService, announced

HERE = RunningService("http://127.0.0.1:1", 4711, "token")


def damage(path: Path) -> None:
    path.write_text("garbage")


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: (path / SERVICE_FILE).unlink(),
        lambda path: damage(path / SERVICE_FILE),
        lambda path: (path / SERVICE_LOCK).unlink(),
        lambda path: (path / SERVICE_LOCK).rename(path / "elsewhere"),
    ],
)
def test_a_lost_announcement_is_noticed_and_written_again(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    with announced(tmp_path) as announcement:
        announcement.write(HERE)
        assert not announcement.is_lost()
        harm(tmp_path)
        assert announcement.is_lost()
        announcement.write(HERE)
        assert not announcement.is_lost()
        assert json.loads((tmp_path / SERVICE_FILE).read_text())["pid"] == HERE.pid
        with announced(tmp_path) as second:  # the lock is held again
            second.write(RunningService("http://127.0.0.1:2", 4712, "other"))
        assert json.loads((tmp_path / SERVICE_FILE).read_text())["pid"] == HERE.pid
    assert not (tmp_path / SERVICE_FILE).exists()


def test_a_data_directory_that_was_moved_away_is_not_made_again(tmp_path: Path) -> None:
    with announced(tmp_path / "data") as announcement:
        announcement.write(HERE)
        (tmp_path / "data").rename(tmp_path / "moved")
        assert not announcement.is_lost()
        announcement.write(HERE)
        assert not (tmp_path / "data").exists()
