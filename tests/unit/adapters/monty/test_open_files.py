"""MontyDB under a limit of open files: the limit is named, not the rights or the disk."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from adapters.monty.record_store import MontyRecordStore
from adapters.records.record_store import StoreRefused

MOST = 12
"""With so many more files, MontyDB can be opened."""


@contextmanager
def limited_to(more: int) -> Iterator[None]:
    """Only so many files more may be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/dev/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2 + MOST, hard))
    held: list[int] = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(more):
            os.close(held.pop())
        yield
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def refusal_with(directory: Path, *, more: int) -> StoreRefused | None:
    """Why MontyDB cannot be opened with so many files; None if it can."""
    store = MontyRecordStore(directory)
    try:
        with limited_to(more):
            await store.open()
    except StoreRefused as refused:
        return refused
    finally:
        await store.close()
    return None


async def test_a_limit_of_open_files_is_named_as_the_cause(tmp_path: Path) -> None:
    await refusal_with(tmp_path / "monty", more=MOST)
    found = [await refusal_with(tmp_path / "monty", more=more) for more in range(MOST)]
    refusals = [str(one) for one in found if one is not None]
    assert 0 < len(refusals) < MOST
    unnamed = [one for one in refusals if "ulimit -n 4096" not in one]
    assert unnamed == []


async def test_a_file_that_cannot_be_opened_for_another_reason_is_not_blamed_on_the_limit(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "monty"
    (directory / "tandem.sqlite").mkdir(parents=True)
    with pytest.raises(StoreRefused) as refused:
        await MontyRecordStore(directory).open()
    assert "may not open more files" not in str(refused.value)
