"""Where in the server an error comes from: a function of the database, a RAISE, or a plan from before a migration.

The SQLSTATE does not tell: whoever writes a function chooses it.
"""

import re

import psycopg
from psycopg import errors as driver

_FUNCTION = re.compile(r'PL/\w+ function ((?:[\w.$]|"(?:[^"]|"")+")+)')
_FUNCTION_MARK = "PL/"
"""In the context of each error that a function raised or met, in whatever language it is written."""
_ANY_FUNCTION = re.compile(r'(?:PL/\w+|SQL) function ((?:[\w.$]|"(?:[^"]|"")+")+)')
_INTERRUPTS = "ProcessInterrupts"
_OF_THE_SERVER = frozenset({_INTERRUPTS, "DeadLockReport"})
"""The functions of the server that end a statement for a lock or a time limit, also inside a function of a trigger."""
_OWN_PREFIX = "tandem_"
"""With which the names of the functions of Tandem begin."""
_RAISE = "exec_stmt_raise"
"""The function of the server that runs a RAISE."""
_STALE_PLAN = "RevalidateCachedQuery"
"""The function of the server that finds a plan that was made before a migration."""


def raised_by(error: psycopg.Error) -> str | None:
    """The function of the database that raised an error, or met it; None where the statement itself met it, or where
    the server ended the statement, whatever ran in it.
    """
    context = error.diag.context or ""
    if _FUNCTION_MARK not in context or error.diag.source_function in _OF_THE_SERVER:
        return None
    named = _FUNCTION.search(context)
    return "a function" if named is None else f"the function {named.group(1)}()"


def interrupted_in(error: psycopg.Error) -> str | None:
    """The function of the database, not one of Tandem, in which the server ended a statement; None outside of one."""
    if error.diag.source_function != _INTERRUPTS:
        return None
    named = _ANY_FUNCTION.search(error.diag.context or "")
    if named is None or named.group(1).startswith(_OWN_PREFIX):
        return None
    return f"the function {named.group(1)}()"


def is_from_raise(error: psycopg.Error) -> bool:
    """Whether a RAISE of a function is the error's origin."""
    return error.diag.source_function == _RAISE


def origin_of(error: BaseException | None) -> tuple[str | None, ...] | None:
    """Where exactly an error of the server comes from, without a value: its SQLSTATE, and the lines of the functions
    that raised or met it, or else the constraint and the server's words. None for everything else.
    """
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return None
    lines = [line for line in (error.diag.context or "").splitlines() if _FUNCTION_MARK in line]
    if lines:
        return (error.sqlstate, *lines)
    named = (error.diag.constraint_name, error.diag.table_name, error.diag.column_name)
    return (error.sqlstate, *named, None if any(named) else error.diag.message_primary)


def is_from_stale_plan(error: psycopg.Error) -> bool:
    """Whether a plan no longer fits its tables, and not a function or a rule that raises the same SQLSTATE."""
    return isinstance(error, driver.FeatureNotSupported) and error.diag.source_function == _STALE_PLAN
