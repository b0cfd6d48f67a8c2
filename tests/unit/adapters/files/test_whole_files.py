"""A file that is written holds what it held before, or all of what was to be written, and nothing is left beside it."""

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.files.whole_files import OWNER_ONLY, create_file, replace_file

FILE_BYTES_MAX = 1024


@contextmanager
def small_files() -> Iterator[None]:
    """As on a full disk: writing a file fails after FILE_BYTES_MAX."""
    limits, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, action)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    former = os.umask(mask)
    try:
        yield
    finally:
        os.umask(former)


def rights_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("mode", [None, OWNER_ONLY])
def test_a_write_that_fails_leaves_the_former_content_and_nothing_else(
    tmp_path: Path, mode: int | None
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(b"former\n")
    with small_files(), pytest.raises(OSError, match="File too large"):
        replace_file(file, b"x" * (FILE_BYTES_MAX + 1), mode=mode)
    assert file.read_bytes() == b"former\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_new_file_that_fails_is_not_there(tmp_path: Path) -> None:
    with small_files(), pytest.raises(OSError, match="File too large"):
        create_file(tmp_path / "key", b"x" * (FILE_BYTES_MAX + 1), mode=OWNER_ONLY)
    assert not list(tmp_path.iterdir())


def test_a_file_keeps_its_rights_and_a_new_one_gets_the_usual_ones(tmp_path: Path) -> None:
    kept, new = tmp_path / "kept", tmp_path / "new"
    kept.write_bytes(b"former")
    kept.chmod(0o640)
    with umask(0o027):
        replace_file(kept, b"content")
        replace_file(new, b"content")
    assert (kept.read_bytes(), rights_of(kept)) == (b"content", 0o640)
    assert (new.read_bytes(), rights_of(new)) == (b"content", 0o640)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_private_file_is_private_whatever_it_was_and_whatever_the_umask(tmp_path: Path) -> None:
    file = tmp_path / "service.json"
    file.write_bytes(b"former")
    file.chmod(0o666)
    with umask(0):
        replace_file(file, b"content", mode=OWNER_ONLY)
    assert (file.read_bytes(), rights_of(file)) == (b"content", 0o600)


def test_a_link_stays_and_the_file_behind_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    file, link = tmp_path / "disk" / "tasks", tmp_path / "link"
    file.write_bytes(b"former")
    link.symlink_to(file)
    replace_file(link, b"content")
    assert link.is_symlink()
    assert file.read_bytes() == b"content"
    assert list((tmp_path / "disk").iterdir()) == [file]


def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    replace_file(pipe, b"content")
    reader.join(10)
    assert read == [b"content"]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_the_first_one_who_creates_a_file_wins(tmp_path: Path) -> None:
    file = tmp_path / "key"
    create_file(file, b"first", mode=OWNER_ONLY)
    create_file(file, b"second", mode=OWNER_ONLY)
    assert (file.read_bytes(), rights_of(file)) == (b"first", 0o600)
    assert list(tmp_path.iterdir()) == [file]
