"""What the doctor finds out about the machine without changing it."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from entrypoints.cli.check_result import CheckResult
from entrypoints.cli.machine_checks import checks_of_machine
from entrypoints.composition.settings import read_settings

NOBODY = 65_534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere, so what belongs to others is looked at as somebody else."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(own)


def troubles(data_dir: Path, **variables: str) -> list[CheckResult]:
    settings = read_settings({"DATA_DIR": str(data_dir), **variables})
    return [one for one in checks_of_machine(data_dir, settings) if not one.is_fine or one.is_warning]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(0o755)
    made = tmp_path / "data"
    (made / "monty").mkdir(parents=True)
    return made


def test_a_sound_machine_passes(data_dir: Path) -> None:
    assert troubles(data_dir) == []


def test_a_directory_of_a_store_that_cannot_be_written_is_named(data_dir: Path) -> None:
    (data_dir / "monty").chmod(0o555)
    with as_nobody():
        (found,) = troubles(data_dir)
    assert f"Nothing can be written in {data_dir / 'monty'}" in found.message
    assert "findmnt" in (found.remedy or "")


def test_a_new_store_needs_a_directory_that_can_be_written_and_a_server_elsewhere_does_not(
    tmp_path: Path,
) -> None:
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(0o755)
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o555)
    with as_nobody():
        (found,) = troubles(parent / "data")
        assert str(parent) in found.message
        assert troubles(parent / "data", STORE="postgres", POSTGRES_URL="postgresql://db/tandem") == []
        assert troubles(parent / "data", MONTY_STORAGE="memory") == []


def test_too_few_open_files_are_named(data_dir: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        (found,) = troubles(data_dir)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found.is_warning
    assert "64 files" in found.message
    assert "ulimit" in (found.remedy or "")
