"""Where events and access lines of this process go."""

import sys

from adapters.observability.access_log import AccessLog
from adapters.observability.logging import configure_logging
from entrypoints.composition.settings import Settings


def start_logging(settings: Settings) -> None:
    """Events go to standard error from now on, in the form the settings ask for."""
    configure_logging(settings.log_level, settings.log_format)


def access_log(settings: Settings) -> AccessLog:
    """One line per request on standard output, unless only warnings are wanted."""
    is_wanted = settings.log_level in ("DEBUG", "INFO")
    return AccessLog(sys.stdout.buffer if is_wanted else None, as_text=settings.log_format == "text")
