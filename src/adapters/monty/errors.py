"""The translation of errors that MontyDB, SQLite, BSON and the file system raise."""

import sqlite3

from bson.errors import BSONError
from loguru import logger
from montydb.errors import MontyError

from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable

DRIVER_ERRORS = (sqlite3.Error, MontyError, BSONError, OSError)


def unavailable(error: BaseException) -> StoreUnavailable:
    """The error for callers when an operation fails; raise it `from` the original error."""
    if isinstance(error, StoreUnavailable):
        return error
    # The driver's message belongs in the operator's log, not in the answer.
    logger.warning("MontyDB does not answer: {}", _reason(error))
    return StoreUnavailable()


def code_of(error: BaseException) -> int:
    """SQLite's primary result code; 0 if the error is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def refused(error: BaseException, directory: object) -> StoreRefused:
    """The error for the operator when the store cannot be opened, with a remedy."""
    is_damage = isinstance(error, sqlite3.DatabaseError | BSONError)
    if is_damage and not isinstance(error, sqlite3.OperationalError):
        remedy = "The files are damaged: move them away and restore a copy."
    else:
        remedy = "Check that this process can write there and that the disk is not full, or choose another directory."
    return StoreRefused(f"MontyDB cannot use {directory}: {_reason(error)}. {remedy}")


def _reason(error: BaseException) -> str:
    # The text of an OSError contains the path, which only the operator may see.
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error) or type(error).__name__
