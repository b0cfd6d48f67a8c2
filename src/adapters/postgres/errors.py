"""The one translation of the errors of PostgreSQL and its driver. Messages name constraints and kinds, never values.

caused by the record ..... AlreadyExists (with the fields), RuleBroken
a rule made by hand ...... HandMadeRule, which names it: no caller is to blame
concurrent writers ....... Contention: try again; nothing was changed. TableLocked where a whole table is locked,
                               RowLocked where a prepared transaction holds rows
the database as it is .... Refused: it answers, and does not do this
everything else .......... StoreUnavailable; AnswerLost where the statement may have been executed,
                               ConnectionBroken where that is known at once

What an error means for a mirrored change set is decided in `classification`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from loguru import logger
from psycopg import errors as driver
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from adapters.postgres.causes import NO_SLOTS, cause_of
from adapters.postgres.columns import (
    NEVER_NULL_COLUMNS,
    fields_by_constraint,
    index_names,
    unique_keys_by_constraint,
)
from adapters.postgres.origins import interrupted_in, is_from_raise, is_from_stale_plan, raised_by
from adapters.postgres.rows import NUL_MESSAGE, Unstorable
from adapters.records.lanes import LaneLost
from adapters.records.record import ID
from adapters.records.record_store import SchemaMissing
from adapters.records.specs import ALL_SPECS, AUDIT_LOGS
from domain.errors import AlreadyExists, RuleBroken, StoreUnavailable, TandemError, Violation


class Contention(StoreUnavailable):
    """Other transactions hold the rows that this one needs; try again in a moment."""

    is_of_the_store = False


class TableLocked(Contention):
    """Another session has locked a table of Tandem; the message names both."""

    is_of_the_store = True
    names_remedy = True


class RowLocked(Contention):
    """A prepared transaction, which no session can end by itself, keeps rows locked; the message names it."""

    names_remedy = True


class AnswerLost(StoreUnavailable):
    """PostgreSQL did not answer in time. See whether its server is stopped or overloaded."""

    names_cause = False


class ConnectionBroken(AnswerLost):
    """PostgreSQL cannot be reached, or the connection to it broke."""

    names_cause = True


class NoSlots(ConnectionBroken):
    """PostgreSQL accepts no further connection; those that are open may work."""


class NoneFree(StoreUnavailable):
    """No connection to PostgreSQL became free in time."""

    names_cause = False


class NoneMade(NoneFree):
    """No connection to PostgreSQL can be made; the message says why the newest attempt failed."""

    names_cause = True


class Refused(StoreUnavailable):
    """PostgreSQL answers, but something in the database does not allow this; its log says what."""

    names_remedy = True


class HandMadeRule(Refused):
    """The database rejects or drops the row by a constraint, a trigger or a rule that is not part of Tandem."""


class HandMadeKey(HandMadeRule):
    """The database has a unique index that is not part of Tandem, and another row holds the value."""


class SchemaAltered(Refused):
    """Somebody renamed or dropped a table or a column of Tandem; the message names it."""


class SchemaClosed(StoreUnavailable):
    """The account may not use the schema that the tables of Tandem are in."""

    names_remedy = True


class ServerReadOnly(StoreUnavailable):
    """The server takes no writes at present; the message says why."""


class TookTooLong(StoreUnavailable):
    """The store ended a statement that took too long; nothing was changed."""

    is_of_the_store = False


OUTAGE_STATES = ("08", "28", "3D000", "53300", "25006", "57P")
"""How the SQLSTATE begins with which a server says that it takes no connections, or no writes at all. A function that a
statement calls can raise the same, so only a new connection proves it.
"""

_UNIQUE_KEYS = unique_keys_by_constraint()
_CHECKED_FIELDS = fields_by_constraint()
LANES_TABLE = "tandem_lanes"
_ENTRY_ID = f"{AUDIT_LOGS.table}_pkey"
_RECORD_IDS = frozenset(f"{spec.table}_pkey" for spec in ALL_SPECS)
_ROW_CHECKS = frozenset(f"{spec.table}_{name}" for spec in ALL_SPECS for name in ("erased", "required"))
_INDEXES = frozenset(index_names())
_NAMING_STATES = ("42", "55000")
"""How the SQLSTATE begins where the server's words name tables, columns and types, and never a value."""

_MEANINGS: tuple[tuple[type[psycopg.Error], type[StoreUnavailable]], ...] = (
    (driver.SerializationFailure, Contention),
    (driver.DeadlockDetected, Contention),
    (driver.LockNotAvailable, Contention),
    (driver.FeatureNotSupported, Contention),  # a plan made before a migration; its connection is dropped
    (driver.UndefinedTable, SchemaMissing),
    (driver.UndefinedColumn, SchemaMissing),
    (driver.InvalidSchemaName, SchemaMissing),
    (driver.QueryCanceled, TookTooLong),
)
_SHUT_DOWN = (driver.AdminShutdown, driver.CrashShutdown, driver.IdleInTransactionSessionTimeout)
_ENDING = ("FATAL", "PANIC")
"""Severities after which the server closes the connection. An `ERROR` with the same SQLSTATE may be anybody's words."""

_FAULTS_OF_SERVER = (
    driver.ProgramLimitExceeded,  # more than an index entry, a row or a search vector can hold
    driver.StatementTooComplex,
    psycopg.DataError,
    psycopg.IntegrityError,
)
_RECORD_FAULTS = (
    *_FAULTS_OF_SERVER,
    Unstorable,
    UnicodeError,
    OverflowError,
    RecursionError,
)
_FAULTS: tuple[tuple[type[Exception], str], ...] = (
    (driver.UntranslatableCharacter, NUL_MESSAGE),
    (driver.ProgramLimitExceeded, "A value is longer than PostgreSQL can index."),
    (UnicodeError, "A text contains half of a surrogate pair."),
    (RecursionError, "A value is nested too deeply."),
)


@contextmanager
def translated() -> Iterator[None]:
    """Raises only our own errors."""
    try:
        yield
    except (psycopg.Error, Unstorable, UnicodeError, OverflowError, RecursionError) as error:
        raise translation_of(error) from error
    except TimeoutError as error:
        raise AnswerLost from error
    except OSError as error:
        raise ConnectionBroken from error


def translation_of(error: Exception) -> TandemError:
    """Our error for an error of the driver, or of a value that the driver cannot encode."""
    if isinstance(error, psycopg.Error) and (named := _named_by_server(error)):
        return named
    if isinstance(error, _RECORD_FAULTS):
        return RuleBroken(_violation_of(error))
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return _unreachable(error)
    if isinstance(error, psycopg.Error) and _ends_connection(error):
        return ConnectionBroken(cause_of(error))
    for kind, meaning in _MEANINGS:
        if isinstance(error, kind):
            return meaning()
    return _refused(error)


def _named_by_server(error: psycopg.Error) -> TandemError | None:
    """Our error where the server names what rejects a row; None where only the error's kind counts."""
    if is_from_raise(error):
        return HandMadeRule(_rejected_by(error))
    if isinstance(error, driver.QueryCanceled) and (by := interrupted_in(error)):
        return HandMadeRule(
            f"PostgreSQL spends too much time in {by} (SQLSTATE {error.sqlstate}), which is not part of Tandem, so"
            " nothing was saved. Make it faster, or drop the trigger that calls it."
        )
    if isinstance(error, driver.IntegrityError):
        return _violated(error)
    is_hand_made = isinstance(error, (*_FAULTS_OF_SERVER, driver.FeatureNotSupported)) and _is_hand_made(
        error
    )
    return HandMadeRule(_rejected_by(error)) if is_hand_made else None


def _refused(error: Exception) -> StoreUnavailable:
    logger.warning("PostgreSQL cannot do this now ({}).", _state_of(error))
    state = getattr(error, "sqlstate", None) or ""
    cause = cause_of(error) if isinstance(error, psycopg.Error) else None
    if cause is None and isinstance(error, psycopg.Error) and not state.startswith(OUTAGE_STATES):
        if raised_by(error):
            return HandMadeRule(_rejected_by(error))
        if state.startswith(_NAMING_STATES):
            cause = f"PostgreSQL says: {error.diag.message_primary} (SQLSTATE {state}). Undo what changed its tables."
    return StoreUnavailable(cause) if state.startswith(OUTAGE_STATES) else Refused(cause)


def _ends_connection(error: psycopg.Error) -> bool:
    severity = error.diag.severity_nonlocalized
    return severity in _ENDING or (severity is None and isinstance(error, _SHUT_DOWN))


def _violated(error: driver.IntegrityError) -> TandemError | None:
    """Our error for a constraint; None for a missing value of a column that never is null."""
    diag = error.diag
    if diag.table_name == LANES_TABLE and isinstance(error, driver.NotNullViolation | driver.UniqueViolation):
        return LaneLost()
    if isinstance(error, driver.UniqueViolation):
        return _taken(error)
    if isinstance(error, driver.CheckViolation):
        return _unfit(error)
    if isinstance(error, driver.NotNullViolation) and diag.column_name in NEVER_NULL_COLUMNS:
        return None
    return HandMadeRule(_rejected_by(error))


def _is_hand_made(error: psycopg.Error) -> bool:
    """Whether a value fits its column, but not what somebody made of the column, of an index or beside them."""
    constraint = error.diag.constraint_name
    if isinstance(error, driver.FeatureNotSupported):
        return not is_from_stale_plan(error)
    if isinstance(error, driver.StringDataRightTruncation) or raised_by(error):
        return True  # no column of ours limits the length of a text
    return constraint is not None and constraint not in _INDEXES


def _rejected_by(error: psycopg.Error) -> str:
    """What rejects a row although it is sound, by name and without a value."""
    diag, by = error.diag, raised_by(error)
    rule = f"the rule {diag.constraint_name}" if diag.constraint_name else by
    if isinstance(error, driver.NotNullViolation) and not diag.constraint_name:
        rule = f"NOT NULL of the column {diag.column_name}"
    if rule is None:
        rule = "a changed column" if isinstance(error, psycopg.DataError) else "a rule"
    place = f" of the table {diag.table_name}" if diag.table_name else ""
    return (
        f"PostgreSQL rejects the row by {rule}{place} (SQLSTATE {error.sqlstate}), which is not part of Tandem."
        " Drop or change it."
    )


def _unreachable(error: psycopg.OperationalError) -> StoreUnavailable:
    if isinstance(error, PoolTimeout | PoolClosed | TooManyRequests):
        return NoneFree()
    if isinstance(error, driver.ConnectionTimeout):
        return AnswerLost()
    # The driver gives a failed connection no SQLSTATE.
    cause = cause_of(error)
    return NoSlots(cause) if cause == NO_SLOTS else ConnectionBroken(cause)


def _taken(error: driver.UniqueViolation) -> AlreadyExists | Contention | HandMadeKey:
    constraint = error.diag.constraint_name or ""
    if constraint in _UNIQUE_KEYS:
        return AlreadyExists(fields=_UNIQUE_KEYS[constraint].fields)
    if constraint == _ENTRY_ID:
        return AlreadyExists(fields=(ID,))
    if constraint in _RECORD_IDS:
        # Another writer created the record after its version was read; the next attempt reads it.
        return Contention()
    return HandMadeKey(_rejected_by(error))


def _unfit(error: driver.CheckViolation) -> RuleBroken | HandMadeRule:
    """The error for a row that violates a check. Records pass their schema before, so the table has another schema."""
    constraint = error.diag.constraint_name or ""
    if constraint in _CHECKED_FIELDS:
        name = _CHECKED_FIELDS[constraint]
        violation = Violation(f"/{name}", "is not one of the allowed values")
        return RuleBroken(f"This does not fit its table: {name}.", violations=[violation])
    if constraint not in _ROW_CHECKS:
        return HandMadeRule(_rejected_by(error))
    if constraint.endswith("_erased"):
        return RuleBroken("A permanently removed record must not keep any content.")
    return RuleBroken("A required field is missing.")


def _violation_of(error: Exception) -> str:
    if isinstance(error, Unstorable):
        return str(error)
    if isinstance(error, driver.NotNullViolation):
        return "A required field is missing."
    for kind, words in _FAULTS:
        if isinstance(error, kind):
            return words
    if isinstance(error, psycopg.DataError) and error.sqlstate is None:
        return NUL_MESSAGE  # the only character in a text that the driver rejects
    logger.warning("PostgreSQL rejected a value ({}).", _state_of(error))
    return "A value does not fit its column."


def _state_of(error: Exception) -> str:
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return type(error).__name__ if state is None else f"{type(error).__name__}, SQLSTATE {state}"
