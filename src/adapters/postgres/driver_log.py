"""What the driver and its pool log by themselves, with the names of account and database.

Callers report every failed connection that concerns them. So of the lines about those, one for each attempt and each
connection, only one for each cause remains, in our words. Other warnings stay, without the names in them.
"""

import logging
import time

import psycopg
from loguru import logger

from adapters.postgres.causes import cause_of

REPEAT_SECONDS = 300.0
"""When a cause is logged again that has not changed."""
CAUSES_MAX = 64
DRIVER_LOGGERS = ("psycopg", "psycopg.pool")
_CONNECTING = "error connecting"
_REPORTED = (_CONNECTING, "reconnection attempt", "discarding closed connection")
"""How the lines begin about what callers report: failed connections, and those that were closed for an error."""
_HARMLESS = (int, float)
"""What a line may show as it is."""


class DriverLog(logging.Filter):
    """Replaces the lines about failed connections, and drops names from other warnings."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        line = str(record.msg)
        if record.levelno < logging.WARNING:
            return False
        if not line.startswith(_REPORTED):
            _redact(record)
            return True
        if line.startswith(_CONNECTING) and (cause := _cause_in(record)) is not None:
            now = time.monotonic()
            if now - self._logged_at.get(cause, -REPEAT_SECONDS) >= REPEAT_SECONDS:
                if len(self._logged_at) >= CAUSES_MAX:
                    self._logged_at.clear()
                self._logged_at[cause] = now
                logger.warning("No connection to PostgreSQL can be made: {}", cause)
        return False


_DRIVER_LOG = DriverLog()


def replace_driver_log() -> None:
    """Harmless when done already."""
    for name in DRIVER_LOGGERS:
        logging.getLogger(name).addFilter(_DRIVER_LOG)


def _cause_in(record: logging.LogRecord) -> str | None:
    """Why a connection could not be made; None where the line does not tell."""
    errors = [one for one in record.args or () if isinstance(one, psycopg.OperationalError)]
    return cause_of(errors[0]) if errors else None


def _redact(record: logging.LogRecord) -> None:
    """Shows of errors their cause, or else their kind, and of connections and tasks their kind."""
    if isinstance(record.args, tuple):
        record.args = tuple(_shown(one) for one in record.args)
    record.exc_info = None  # its words are those of the errors


def _shown(value: object) -> object:
    if isinstance(value, _HARMLESS) or (isinstance(value, str) and value.isidentifier()):
        return value  # a name in a string is that of a class or of a pool
    cause = cause_of(value) if isinstance(value, psycopg.Error) else None
    return cause or type(value).__name__
