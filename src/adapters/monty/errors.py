"""The translation of errors that MontyDB, SQLite, BSON and the file system raise."""

import errno
import re
import resource
import sqlite3
from pathlib import Path

from bson.errors import BSONError
from loguru import logger
from montydb.errors import MontyError

from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable

DRIVER_ERRORS = (sqlite3.Error, MontyError, BSONError, OSError)
FILES_OPENED_MAX = 16
"""More than MontyDB opens: three connections, each with the file, its log and its index, and the lock."""
_OPEN_FILES = Path("/dev/fd")
DAMAGE_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_FULL = "The disk of MontyDB is full. Free some space: writes then work again."
_LOCKED_OUT = "The files of MontyDB cannot be written. Give this user access to them: writes then work again."
_DAMAGED = "A part of MontyDB's file is damaged, so nothing is written. Stop Tandem and restore a copy."
_GONE = (
    "The files of MontyDB were deleted, replaced, cut or overwritten while in use, so nothing is written any more. "
    "Stop Tandem and restore a copy."
)
_NO_FILE = "This process may not open more files. Raise the limit, and start Tandem again: ulimit -n 4096"
_DISK = "The disk of MontyDB reports an error. Check the disk."
_BUSY = "Another program keeps MontyDB's file locked. End it."
_CAUSES = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _LOCKED_OUT,
    sqlite3.SQLITE_PERM: _LOCKED_OUT,
    sqlite3.SQLITE_CANTOPEN: _LOCKED_OUT,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
}
_MISSING = re.compile(r"no such table: (?:\w+\.)?(\w+)|table (\w+) has no column|no such column: ")
"""SQLite's words for what is missing, which name no values."""
_SYSTEM_CAUSES: dict[int | None, str] = {
    None: _GONE,  # an error of our own check
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _LOCKED_OUT,
    errno.EPERM: _LOCKED_OUT,
    errno.EROFS: _LOCKED_OUT,
    errno.EIO: _DISK,
    errno.EMFILE: _NO_FILE,
    errno.ENFILE: _NO_FILE,
}


class TableChanged(StoreUnavailable):
    """A table of ours, or a column of it, is missing in the file. The other tables can be used."""

    def __init__(self, table: str | None, reason: str) -> None:
        """`table` is None where SQLite does not name it."""
        super().__init__(
            f"{table or 'A table'} in MontyDB's file was changed by hand: {reason}. Undo that, or stop Tandem and"
            " restore a copy."
        )
        self.table = table


def unavailable(error: BaseException) -> StoreUnavailable:
    """The error for callers when an operation fails; raise it `from` the original error."""
    if isinstance(error, StoreUnavailable):
        return error
    changed = changed_table(error)
    if changed is not None:
        return changed
    # The driver's message belongs in the operator's log, not in the answer.
    logger.warning("MontyDB does not answer: {}", _reason(error))
    return StoreUnavailable(_cause(error))


def changed_table(error: BaseException) -> TableChanged | None:
    """The error for callers if the statement names a table, or a column of one, that is missing; None otherwise."""
    reason = str(error)
    found = _MISSING.match(reason) if code_of(error) == sqlite3.SQLITE_ERROR else None
    return None if found is None else TableChanged(found[1] or found[2], reason)


def code_of(error: BaseException) -> int:
    """SQLite's primary result code; 0 if the error is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _cause(error: BaseException) -> str | None:
    """The cause without values and paths, so that everybody may read it; None if it is not known."""
    if isinstance(error, BSONError):
        return _DAMAGED
    if isinstance(error, OSError):
        return _SYSTEM_CAUSES.get(error.errno)
    return _NO_FILE if _lacks_files(error) else _CAUSES.get(code_of(error))


def refused(error: BaseException, directory: object) -> StoreRefused:
    """The error for the operator when the store cannot be opened, with a remedy."""
    if _lacks_files(error):
        return StoreRefused(f"MontyDB cannot open its files in {directory}.", remedy=_NO_FILE)
    is_damage = isinstance(error, sqlite3.DatabaseError | BSONError)
    if is_damage and not isinstance(error, sqlite3.OperationalError):
        remedy = "The files are damaged: move them away and restore a copy."
    else:
        remedy = "Check that this process can write there and that the disk is not full, or choose another directory."
    return StoreRefused(f"MontyDB cannot use {directory}: {_reason(error)}. {remedy}")


def _lacks_files(error: BaseException) -> bool:
    """Whether the limit of open files is the cause. SQLite has no code of its own for that, and closes what it had
    opened before it says so.
    """
    if isinstance(error, OSError):
        return error.errno in (errno.EMFILE, errno.ENFILE)
    if code_of(error) != sqlite3.SQLITE_CANTOPEN:
        return False
    try:
        open_now = sum(1 for _ in _OPEN_FILES.iterdir())
    except OSError as none_left:
        return none_left.errno in (errno.EMFILE, errno.ENFILE)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and soft - open_now < FILES_OPENED_MAX


def _reason(error: BaseException) -> str:
    # The text of an OSError contains the path, which only the operator may see.
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error) or type(error).__name__
