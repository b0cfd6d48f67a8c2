"""Files that are written as a whole: after a failure or a power cut they hold what they held before, or all of it.

The content is written beside the file, to the disk, and takes the file's place at once.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adapters.files.directories import sync

OWNER_ONLY = 0o600
_NEW_FILE = 0o666
"""The permissions of a new file before the umask takes some away."""
_STANDARD_STREAMS = (0, 1, 2)


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Gives a file this content. Raises OSError, and then leaves nothing beside it.

    `mode` None keeps the permissions and the owner of the file that is there; a new one gets those of any new file.
    What is no regular file, such as a pipe, and what this process has as a standard stream is written directly.
    """
    former = _stat_of(path)
    if former is not None and not _is_replaceable(former):
        path.write_bytes(content)
        return
    place = path.resolve()  # a link stays, and what it points to is replaced
    with _draft_of(place, content, mode=_NEW_FILE if mode is None else mode) as draft:
        if mode is None and former is not None:
            _keep_rights(draft, former)
        draft.replace(place)
    sync(place.parent)


def create_file(path: Path, content: bytes, *, mode: int) -> None:
    """Creates a file, unless there is one by now, which stays as it is. Raises OSError."""
    with _draft_of(path, content, mode=mode) as draft, suppress(FileExistsError):
        path.hardlink_to(draft)
    sync(path.parent)


@contextmanager
def _draft_of(path: Path, content: bytes, *, mode: int) -> Iterator[Path]:
    """A file with the content in the same directory, for the time of the context."""
    draft = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _stat_of(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_replaceable(found: os.stat_result) -> bool:
    if not stat.S_ISREG(found.st_mode):
        return False
    return not any(os.path.samestat(found, os.fstat(number)) for number in _STANDARD_STREAMS)


def _keep_rights(draft: Path, former: os.stat_result) -> None:
    own = draft.stat()
    if (own.st_uid, own.st_gid) != (former.st_uid, former.st_gid):
        with suppress(PermissionError):  # only root gives files away
            os.chown(draft, former.st_uid, former.st_gid)
    draft.chmod(stat.S_IMODE(former.st_mode))
