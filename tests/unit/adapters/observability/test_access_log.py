import asyncio
import io
import json
from typing import Any

from adapters.observability.access_log import BUFFER_BYTES_MAX, AccessLog

LINE: dict[str, Any] = {
    "method": "GET",
    "path": "/v1/tasks",
    "status": 200,
    "seconds": 0.0125,
    "request_id": "r-1",
    "actor_id": None,
}


class BrokenPipe(io.BytesIO):
    """A destination whose reader is gone."""

    def write(self, data: Any) -> int:
        raise BrokenPipeError


class Announcing(io.BytesIO):
    """A destination that says when something arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def write(self, data: Any) -> int:
        self.written.set()
        return super().write(data)


async def test_lines_wait_until_they_are_flushed() -> None:
    destination = io.BytesIO()
    log = AccessLog(destination)

    log.write(**LINE)
    assert destination.getvalue() == b""
    log.flush()

    line = json.loads(destination.getvalue())
    assert (line["event"], line["durationMs"], line["requestId"]) == ("request", 12.5, "r-1")


async def test_a_full_buffer_is_written_at_once() -> None:
    destination = io.BytesIO()
    log = AccessLog(destination)

    for _ in range(BUFFER_BYTES_MAX // 100):
        log.write(**LINE)

    assert len(destination.getvalue()) >= BUFFER_BYTES_MAX
    log.flush()
    assert len(destination.getvalue().splitlines()) == BUFFER_BYTES_MAX // 100


async def test_a_lone_line_is_written_after_a_while() -> None:
    destination = Announcing()
    log = AccessLog(destination, flush_seconds=0.01)

    log.write(**LINE)

    await asyncio.wait_for(destination.written.wait(), 5)
    assert json.loads(destination.getvalue())["path"] == "/v1/tasks"


async def test_a_failing_destination_loses_lines_and_no_request() -> None:
    log = AccessLog(BrokenPipe())

    log.write(**LINE)
    log.write(**LINE)
    log.flush()

    assert log.lost_lines == 2


async def test_a_line_of_text_stays_one_line() -> None:
    destination = io.BytesIO()
    log = AccessLog(destination, as_text=True)

    log.write(**{**LINE, "path": "/a\nGET /forged"})
    log.flush()

    assert destination.getvalue().count(b"\n") == 1


async def test_without_a_destination_nothing_is_kept() -> None:
    log = AccessLog(None)

    log.write(**LINE)
    log.flush()

    assert log.lost_lines == 0
