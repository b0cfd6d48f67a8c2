"""The one translation of errors that MontyDB, SQLite, BSON and the file system raise."""

import sqlite3

from bson.errors import BSONError
from loguru import logger
from montydb.errors import MontyError

from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable

DRIVER_ERRORS = (sqlite3.Error, MontyError, BSONError, OSError)


def unavailable(error: BaseException) -> StoreUnavailable:
    """What callers see when the store fails while it works; to be raised `from` the error."""
    if isinstance(error, StoreUnavailable):
        return error
    # The driver's words are for the operator's log, not for callers.
    logger.warning("MontyDB does not answer: {}", _reason(error))
    return StoreUnavailable()


def code_of(error: BaseException) -> int:
    """SQLite's primary result code; 0 where the error is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def refused(error: BaseException, directory: object) -> StoreRefused:
    """What the operator sees when the store cannot be opened, with what to do about it."""
    is_damage = isinstance(error, sqlite3.DatabaseError | BSONError)
    if is_damage and not isinstance(error, sqlite3.OperationalError):
        remedy = "The files are damaged: put them aside and restore a copy."
    else:
        remedy = "Make it a directory this process may write to, with room left, or choose another."
    return StoreRefused(f"MontyDB cannot use {directory}: {_reason(error)}. {remedy}")


def _reason(error: BaseException) -> str:
    # An OSError's own text names the path, which is nobody's business but the operator's.
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error) or type(error).__name__
