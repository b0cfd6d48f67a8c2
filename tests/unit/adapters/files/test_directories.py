"""Directories that are created are for their owner, and nobody else can write beside them."""

import os
from pathlib import Path

import pytest

from adapters.files.directories import make_private_directory


@pytest.mark.parametrize("mask", [0, 0o022])
def test_private_levels_are_for_the_owner_and_those_above_let_others_pass(tmp_path: Path, mask: int) -> None:
    former = os.umask(mask)
    try:
        make_private_directory(tmp_path / "srv" / "data" / "monty", levels=2)
    finally:
        os.umask(former)
    rights = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_dir()}
    assert rights == {"srv": 0o755, "data": 0o700, "monty": 0o700}


def test_a_directory_that_exists_keeps_its_rights(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)
    make_private_directory(shared)
    make_private_directory(shared / "monty", levels=2)
    assert shared.stat().st_mode & 0o777 == 0o770
    assert (shared / "monty").stat().st_mode & 0o777 == 0o700
