"""A source that is an older copy of itself: commands that would write into it change nothing, and say so."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.servers.postgres import OwnPostgresServer
from tests.unit.entrypoints.cli.conftest import Tandem

pytestmark = pytest.mark.usefixtures("mirrored")


@pytest.fixture
def mirrored(own_postgres_server: OwnPostgresServer, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dual write whose target is up."""
    monkeypatch.setenv("STORE", "dual")
    monkeypatch.setenv("DUAL_WRITE_SOURCE", "monty")
    monkeypatch.setenv("POSTGRES_URL", own_postgres_server.create_database())


def test_a_migration_is_refused_until_the_newest_copy_is_back(
    tandem: Tandem, data_dir: Path, beads_file: Path
) -> None:
    assert tandem("migrate", "up").code == 0
    older, newest = data_dir.with_name("older"), data_dir.with_name("newest")
    shutil.copytree(data_dir / "monty", older)
    assert tandem("import", "--format", "beads", str(beads_file)).code == 0
    shutil.copytree(data_dir / "monty", newest)
    put_back(older, data_dir)
    for _ in range(2):
        refused = tandem("migrate", "up")
        assert refused.code == 3
        assert "is an older copy of itself" in refused.err
        assert "tandem recover. Or restore the newest copy of it" in refused.err
    doctor = tandem("doctor", "--json").view
    assert max(Counter(check["subject"] for check in doctor["checks"]).values()) == 1
    put_back(newest, data_dir)
    assert tandem("migrate", "up").code == 0


def test_the_doctor_sends_no_one_to_create_a_source_that_a_target_shows_to_be_missing(
    tandem: Tandem, data_dir: Path
) -> None:
    assert tandem("demo").code == 0
    (data_dir / "monty").rename(data_dir.with_name("moved"))
    for ended in (tandem("doctor"), tandem("sync", "status")):
        assert ended.code == 3
        text = " ".join((ended.out + ended.err).split())
        assert "This monty store is empty, and the target holds the data of installation" in text
        assert "Restore the files or the database of monty" in text
        assert "To create one" not in text


def put_back(copy: Path, data_dir: Path) -> None:
    shutil.rmtree(data_dir / "monty")
    shutil.copytree(copy, data_dir / "monty")
