"""Events of the process through loguru: one form, secrets redacted, the standard library's logging included."""

import logging
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
from loguru import logger

from domain.display import displayed

if TYPE_CHECKING:
    from loguru import Message, Record

MESSAGE_LENGTH_MAX = 8_000
REDACTED = "***"

_SECRET_NAMES = re.compile(r"authorization|cookie|password|passwd|secret|token|private_?key", re.IGNORECASE)
_SECRET_TEXTS = (
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]*(?=@)"), REDACTED),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), REDACTED),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {REDACTED}"),
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?(-----END [A-Z ]+-----|\Z)", re.DOTALL), REDACTED),
    (re.compile(r"(?i)\b(password|passwd|secret|token)(\s*[=:]\s*)[^\s,;&]+"), rf"\1\2{REDACTED}"),
)
_QUIET = ("uvicorn.access", "alembic.runtime.plugins")
_ADOPTED = ("uvicorn", "uvicorn.error")


def configure_logging(level: str, log_format: str, *, stream: TextIO | None = None) -> None:
    """Sends events of at least this level to the stream (standard error) only, as `json` or `text`."""
    destination = stream or sys.stderr
    render: Callable[[Record], str] = _json_line if log_format == "json" else _text_line

    def write(message: "Message") -> None:
        destination.write(render(message.record))
        destination.flush()

    logger.remove()
    # Values of variables in tracebacks would print secrets.
    logger.add(write, level=level, format="{message}", backtrace=False, diagnose=False)
    _adopt_standard_logging(level)


def redacted(text: str) -> str:
    """The text with credentials redacted: in addresses, headers, tokens, keys and assignments."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


class StandardLoggingBridge(logging.Handler):
    """Forwards records of the standard library's logging to loguru, with their logger's name and source line."""

    def emit(self, record: logging.LogRecord) -> None:
        level: str | int = record.levelname if record.levelname in _LEVELS else record.levelno
        bound = logger.bind(logger=record.name).opt(exception=record.exc_info)
        bound.log(level, "{}", record.getMessage())


_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


def _adopt_standard_logging(level: str) -> None:
    root = logging.getLogger()
    root.handlers = [StandardLoggingBridge()]
    root.setLevel(level)
    for name in _ADOPTED:
        adopted = logging.getLogger(name)
        adopted.handlers, adopted.propagate = [], True
    for name in _QUIET:
        # The access log has the same lines, and a list of plug-ins is of no use.
        quiet = logging.getLogger(name)
        quiet.handlers, quiet.propagate = [], False


def _facts(record: "Record") -> dict[str, Any]:
    extra = {name: _safe(name, value) for name, value in record["extra"].items()}
    facts: dict[str, Any] = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "logger": extra.pop("logger", record["name"]),
        "message": redacted(record["message"])[:MESSAGE_LENGTH_MAX],
    }
    if "request_id" in extra:
        facts["requestId"] = extra.pop("request_id")
    facts |= {name: value for name, value in extra.items() if name not in facts}
    if record["exception"] is not None:
        facts["exception"] = redacted(_traceback(record["exception"]))
    return facts


def _safe(name: str, value: object) -> object:
    if _SECRET_NAMES.search(name):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    return redacted(str(value))[:MESSAGE_LENGTH_MAX]


def _traceback(exception: Any) -> str:
    formatter = logging.Formatter()
    return formatter.formatException((exception.type, exception.value, exception.traceback))


def _json_line(record: "Record") -> str:
    return msgspec.json.encode(_facts(record)).decode() + "\n"


def _text_line(record: "Record") -> str:
    facts = _facts(record)
    exception = facts.pop("exception", None)
    head = f"{facts.pop('time')} {facts.pop('level'):<8} {facts.pop('logger')}: {facts.pop('message')}"
    rest = "".join(f" {name}={value}" for name, value in facts.items())
    # One event is one line, also if its values contain line breaks; only tracebacks span several.
    line = displayed(head + rest)
    return f"{line}\n{displayed(exception, keeps_lines=True)}\n" if exception else f"{line}\n"
