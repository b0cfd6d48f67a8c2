"""What the driver and its pool log by themselves: a line for each attempt, with the names of account and database.

Callers report every error that concerns them. So of these lines only one for each cause remains, in our words.
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


class DriverLog(logging.Filter):
    """Lets none of the driver's own lines through."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING and (cause := _cause_in(record)) is not None:
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
    """Why a connection could not be made; None for a line about anything else."""
    errors = [one for one in record.args or () if isinstance(one, psycopg.OperationalError)]
    is_about_connecting = str(record.msg).startswith("error connecting")
    return cause_of(errors[0]) if errors and is_about_connecting else None
