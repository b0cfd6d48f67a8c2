"""Where this process writes its log events and access lines."""

import sys

from adapters.observability.access_log import AccessLog
from adapters.observability.logging import configure_logging
from entrypoints.composition.settings import Settings


def start_logging(settings: Settings) -> None:
    """Writes events to standard error from now on, at the level and in the format of the settings."""
    configure_logging(settings.log_level, settings.log_format)


def access_log(settings: Settings) -> AccessLog:
    """Writes one line per request to standard output; none at levels above INFO."""
    is_shown = settings.log_level in ("DEBUG", "INFO")
    return AccessLog(sys.stdout.buffer if is_shown else None, as_text=settings.log_format == "text")
