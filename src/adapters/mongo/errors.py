"""The one translation of pymongo's errors: no code outside this package sees them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bson.errors import BSONError, InvalidBSON, InvalidDocument, InvalidStringData
from pymongo.errors import (
    ConfigurationError,
    DocumentTooLarge,
    InvalidName,
    OperationFailure,
    PyMongoError,
)

from adapters.records.record import CorruptRecord
from adapters.records.record_store import StoreRefused
from domain.errors import AlreadyExists, RuleBroken, StoreUnavailable

DUPLICATE_KEY = 11_000
WRITE_CONFLICT = 112
INVALID_DOCUMENT = 121
NOT_SUPPORTED = frozenset({59, 67, 115, 238})
"""Codes by which servers that only resemble MongoDB reject a command or a kind of index."""
_INDEX = re.compile(r" index: (\S+)")
NOT_NOW = "MongoDB cannot do this right now; try again in a moment."
UNAUTHORIZED = 13
_CREDENTIALS_REFUSED = frozenset({18, 8000})
_INVALID_NAMESPACE, _DIFFERS_BY_CASE = 73, 13_297
_OUTAGES = frozenset({6, 7, 89, 91, 189, 9001, 10_107, 11_600, 11_602, 13_435, 13_436})
"""Codes by which a server says that it is stopping, not the primary, or cut off from the others."""
_TOO_LARGE = frozenset({10_334, 17_280, 17_419, 17_420})
_RECORD_REJECTED = frozenset({2, 9, 15, 17, 22, 34, 52, 57})
"""Codes for a document that the server cannot hold: too deep, or with invalid field names."""


class Refused(StoreUnavailable):
    """MongoDB answers, but does not do this; `code` is the server's, `name` its name."""

    def __init__(self, code: int | None, name: str | None) -> None:
        super().__init__(NOT_NOW)
        self.error_code = code
        self.error_name = name


class HandMadeRule(StoreUnavailable):
    """MongoDB rejects the document by a unique index or a validator that is not part of Tandem."""

    names_remedy = True


class DuplicateKey(Exception):
    """A write has a value of a unique key that is taken; `fields` are the document's. `index` is the name of the key,
    empty where the server does not say it.
    """

    def __init__(self, collection: str, fields: tuple[str, ...], *, index: str = "") -> None:
        super().__init__(f"{collection}: {', '.join(fields)}")
        self.collection = collection
        self.fields = fields
        self.index = index


class StaleVersion(Exception):
    """A write found another version than the one it replaces."""


class ValidationFailed(Exception):
    """A validator rejected a write. Records are checked before they are sent, so an older document is in the way."""

    def __init__(self, collection: str) -> None:
        super().__init__(collection)
        self.collection = collection


@contextmanager
def translated() -> Iterator[None]:
    """Raises the port's errors in place of the driver's."""
    try:
        yield
    except (PyMongoError, BSONError, OverflowError, UnicodeEncodeError) as error:
        raise _translation(error) from error


def code_of(error: BaseException) -> int | None:
    """The server's error code; in a bulk, that of the first failed write."""
    first = first_write_error(error)
    if first is not None:
        code: int | None = first.get("code")
        return code
    return error.code if isinstance(error, OperationFailure) else None


def first_write_error(error: BaseException) -> dict[str, Any] | None:
    """The first failed write of a bulk, as the server reports it."""
    details = error.details if isinstance(error, OperationFailure) else None
    failed = (details or {}).get("writeErrors")
    return failed[0] if failed else None


def duplicate_fields(report: dict[str, Any]) -> tuple[str, ...]:
    """The document fields of the unique key that a server's report names."""
    return tuple(report.get("keyPattern") or ())


def duplicate_index(report: dict[str, Any]) -> str:
    """The name of the unique key that a server's report names, which only its text does; empty without one."""
    found = _INDEX.search(str(report.get("errmsg") or ""))
    return "" if found is None else found[1]


def _translation(error: Exception) -> Exception:
    if isinstance(error, InvalidBSON):
        return CorruptRecord("A stored document is no valid BSON.")
    if refused := _refused_setting(error):
        return refused
    if reason := _unholdable(error):
        return RuleBroken(f"MongoDB cannot hold this record: {reason}.")
    if isinstance(error, OperationFailure):
        return _server_error(error)
    return StoreUnavailable("MongoDB does not answer; try again in a moment.")


def _refused_setting(error: Exception) -> StoreRefused | None:
    """The refusal of a setting that the driver or the server cannot use; waiting would not help."""
    if isinstance(error, ConfigurationError):
        return StoreRefused("The MongoDB URI or one of its options is invalid; check MONGODB_URI.")
    code = code_of(error)
    if isinstance(error, InvalidName) or code == _INVALID_NAMESPACE:
        return StoreRefused("MongoDB cannot have a database of this name.", remedy="Correct DB_NAME.")
    if code == _DIFFERS_BY_CASE:
        return StoreRefused(
            "MongoDB has a database whose name differs from this one only by upper and lower case.",
            remedy="Correct DB_NAME.",
        )
    return None


def _unholdable(error: Exception) -> str | None:
    match error:
        case DocumentTooLarge():
            return "it is larger than 16 MB"
        case OverflowError():
            return "an integer is beyond 63 bits"
        case UnicodeEncodeError() | InvalidStringData():
            return "a text contains half of a surrogate pair"
        case InvalidDocument():
            return "a key contains the NUL character, or a value has no BSON type"
        case _:
            return None


def _server_error(error: OperationFailure) -> Exception:
    code = code_of(error)
    if code == DUPLICATE_KEY:
        return AlreadyExists(fields=duplicate_fields(first_write_error(error) or dict(error.details or {})))
    if code in _CREDENTIALS_REFUSED:
        return StoreUnavailable("MongoDB rejected the credentials; check MONGODB_URI.")
    if reason := _rejection(error, code):
        return RuleBroken(reason)
    first = first_write_error(error) or dict(error.details or {})
    return StoreUnavailable(NOT_NOW) if code in _OUTAGES else Refused(code, first.get("codeName"))


def _rejection(error: OperationFailure, code: int | None) -> str | None:
    """Why the server cannot hold a document; None if it is not about the document."""
    if code == INVALID_DOCUMENT:
        return "MongoDB rejected this record: it does not pass the validator of its collection."
    if code in _TOO_LARGE:
        return "MongoDB cannot hold this record: it is larger than 16 MB."
    if code in _RECORD_REJECTED and first_write_error(error):
        return "MongoDB cannot hold this record: it is nested too deeply or has an invalid field name."
    return None
