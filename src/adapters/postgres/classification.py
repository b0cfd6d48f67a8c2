"""Outage, blocked table or rejection: what an error means for a change set that this store was to mirror.

outage ......... the server cannot be reached, also not by a new connection
claim .......... the statement's error says that the server takes no connections or no writes; to be proven
lock ........... somebody holds a lock on the table or the row, or other writers were faster
slow ........... our own time limit ended it
table .......... the table is full, missing or closed to this role, whatever the row
record ......... everything else, while the server answers

What a function raises, as that of a trigger does, is about the record whatever its SQLSTATE: only the other rows of the
table tell whether it is about the table.
"""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any

import psycopg

from adapters.postgres.causes import hidden_rows_of
from adapters.postgres.errors import (
    OUTAGE_STATES,
    AnswerLost,
    ConnectionBroken,
    Contention,
    Refused,
    RowLocked,
    SchemaAltered,
    SchemaClosed,
    TableLocked,
)
from adapters.postgres.origins import raised_by
from adapters.records.change_set import ChangeSet, Rejection, taken_reason
from adapters.records.record_store import REASON_LENGTH_MAX, SchemaMissing
from domain.errors import AlreadyExists, RuleBroken, StoreUnavailable, TandemError

LOCK_STATES = frozenset({"55P03", "40P01", "40001"})
UNIQUE_STATE = "23505"
"""Somebody else added the same record at the same time."""
SLOW_STATE = "57014"
TABLE_STATES = frozenset({"53100", "53200", "42501", "42P01", "42703", "3F000"})
FULL_STATES = frozenset({"53100", "53200"})
_SHOWN_VALUE_LENGTH_MIN = 3
"""Shorter texts of a record are not looked for in the server's message: they would tear its words apart."""


class Meaning(Enum):
    """See the module. LOST, SILENT and CLAIM are decided by a new connection."""

    OUTAGE = "outage"
    CLAIM = "claim"
    LOST = "lost"
    SILENT = "silent"
    LOCK = "lock"
    SLOW = "slow"
    TABLE = "table"
    RECORD = "record"


class PartRejected(Exception):
    """One of several change sets cannot be stored. Applied alone, each has its own outcome."""


def state_of(error: BaseException) -> str | None:
    """The SQLSTATE of the server's error; None where the driver raised it, or no answer arrived."""
    cause = error.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def meaning_of(error: TandemError) -> Meaning:
    """What kind of trouble an error is."""
    if isinstance(error, SchemaClosed):
        return Meaning.OUTAGE
    if isinstance(error, AnswerLost):
        return Meaning.LOST if isinstance(error, ConnectionBroken) else Meaning.SILENT
    if is_raised(error):
        return Meaning.RECORD
    state = state_of(error)
    if state is not None:
        return _meaning_of_state(state, is_contention=isinstance(error, Contention))
    is_ours = isinstance(error, StoreUnavailable) and not isinstance(error, Refused | SchemaMissing)
    return Meaning.OUTAGE if is_ours else Meaning.RECORD


def _meaning_of_state(state: str, *, is_contention: bool) -> Meaning:
    if state in LOCK_STATES or (is_contention and state == UNIQUE_STATE):
        return Meaning.LOCK
    if state == SLOW_STATE:
        return Meaning.SLOW
    if state in TABLE_STATES:
        return Meaning.TABLE
    return Meaning.CLAIM if state.startswith(OUTAGE_STATES) else Meaning.RECORD


def is_raised(error: TandemError) -> bool:
    """Whether a function of the database raised it, with whatever SQLSTATE its author chose, or met it."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and raised_by(cause) is not None


def rejection_of(error: TandemError, change_set: ChangeSet) -> Rejection:
    """The rejection of a change set that is alone, with the server's own message and no value."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None:
        return Rejection(_own_words(error)[:REASON_LENGTH_MAX])
    details = cause.diag
    is_ours = isinstance(error, AlreadyExists | RuleBroken) and not is_raised(error)
    words = _own_words(error) if is_ours else None
    named = {
        "SQLSTATE": cause.sqlstate,
        "constraint": details.constraint_name,
        "table": details.table_name,
        "column": details.column_name,
    }
    reason = f"{words or server_words(cause, [change_set])} ({_listed(named)})"
    return Rejection(
        reason[:REASON_LENGTH_MAX],
        sqlstate=cause.sqlstate,
        constraint=details.constraint_name,
        table=details.table_name,
        column=details.column_name,
    )


def cause_and_state_of(error: TandemError, change_sets: Iterable[ChangeSet]) -> str:
    """Why a table is blocked, in the server's words and with its SQLSTATE."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None:
        return error.message
    hidden = None if is_raised(error) else hidden_rows_of(cause)
    words = (
        error.message
        if isinstance(error, SchemaAltered | TableLocked | RowLocked)
        else hidden or server_words(cause, change_sets)
    )
    return f"{words} (SQLSTATE {cause.sqlstate})"[:REASON_LENGTH_MAX]


def server_words(error: psycopg.Error, change_sets: Iterable[ChangeSet]) -> str:
    """The server's message, and the function that raised it, with every value of the records left out."""
    message = error.diag.message_primary or type(error).__name__
    values = {
        text
        for change_set in change_sets
        for put in change_set.puts
        for text in _texts(put.record)
        if len(text) >= _SHOWN_VALUE_LENGTH_MIN
    }
    for value in sorted(values, key=len, reverse=True):
        message = re.sub(re.escape(value), "…", message, flags=re.IGNORECASE)
    by = raised_by(error)
    return message if by is None else f"{message}, raised by {by}"


def _own_words(error: TandemError) -> str:
    return taken_reason(error.fields) if isinstance(error, AlreadyExists) and error.fields else error.message


def _listed(named: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items() if value)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
