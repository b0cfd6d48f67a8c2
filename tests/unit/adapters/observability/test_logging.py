import io
import json
import logging
from collections.abc import Iterator

import pytest
from loguru import logger

from adapters.observability.logging import configure_logging, redacted

SECRETS = [
    ("postgresql://tandem:hunter2@db/tandem", "hunter2"),
    ("mongodb+srv://u:hunter2@cluster/?x=1", "hunter2"),
    ("Authorization: Bearer abc.def-123", "abc.def"),
    ("got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIiOiIxIn0"),
    ("-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----", "MIIEvQ"),
    ("password=hunter2 next", "hunter2"),
    ("token: hunter2", "hunter2"),
]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    logger.remove()
    root.handlers, root.level = handlers, level


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_are_blackened(text: str, secret: str) -> None:
    assert secret not in redacted(text)
    assert "***" in redacted(text)


def test_events_are_one_json_object_a_line(stream: io.StringIO) -> None:
    configure_logging("INFO", "json", stream=stream)

    with logger.contextualize(request_id="r-1"):
        logger.bind(collection="tasks", api_token="hunter2").info(
            "opened {}\nforged", "postgres://a:hunter2@b"
        )

    event = json.loads(stream.getvalue())
    assert (event["level"], event["requestId"], event["collection"]) == ("INFO", "r-1", "tasks")
    assert event["message"] == "opened postgres://***@b\nforged"
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_text_keeps_one_event_on_one_line(stream: io.StringIO) -> None:
    configure_logging("INFO", "text", stream=stream)

    logger.info("first\nforged")

    assert stream.getvalue().count("\n") == 1
    assert "first\\nforged" in stream.getvalue()


def test_text_of_others_does_not_act_on_the_terminal(stream: io.StringIO) -> None:
    configure_logging("INFO", "text", stream=stream)
    logger.bind(name="b\u202ec").info("a {}", "\x1b[2J")
    try:
        int("\x07")
    except ValueError:
        logger.exception("failed")
    written = stream.getvalue()
    assert "\x1b" not in written
    assert "\u202e" not in written
    assert "a \\x1b[2J" in written
    assert "\x07" not in written
    assert "ValueError: invalid literal" in written


def test_levels_below_the_threshold_are_dropped(stream: io.StringIO) -> None:
    configure_logging("WARNING", "json", stream=stream)

    logger.info("quiet")
    logger.warning("loud")

    assert json.loads(stream.getvalue())["message"] == "loud"


def test_the_standard_library_logs_the_same_way(stream: io.StringIO) -> None:
    configure_logging("INFO", "json", stream=stream)

    logging.getLogger("uvicorn.error").warning("password=%s", "hunter2")
    logging.getLogger("uvicorn.access").info("not this")

    event = json.loads(stream.getvalue())
    assert (event["logger"], event["level"], event["message"]) == ("uvicorn.error", "WARNING", "password=***")


def test_tracebacks_are_shown_without_values(stream: io.StringIO) -> None:
    configure_logging("INFO", "json", stream=stream)

    def connect(password: str) -> None:
        raise ValueError(f"postgres://u:{password}@h refused")

    try:
        connect("hunter" + str(2))
    except ValueError:
        logger.exception("failed")

    event = json.loads(stream.getvalue())
    assert "ValueError" in event["exception"]
    assert "hunter2" not in stream.getvalue()
