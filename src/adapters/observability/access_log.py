"""One line per request, encoded at once and written in blocks."""

import asyncio
from datetime import UTC, datetime
from time import time_ns
from typing import BinaryIO

import msgspec

BUFFER_BYTES_MAX = 64 * 1024
FLUSH_SECONDS = 1.0


class AccessLine(msgspec.Struct, rename="camel", gc=False):
    """One request and its outcome. Paths only: query strings may hold the words people searched for."""

    time: str
    method: str
    path: str
    status: int
    duration_ms: float
    request_id: str
    actor_id: str | None = None
    client_address: str | None = None
    level: str = msgspec.field(default="INFO")
    event: str = "request"


class AccessLog:
    """Collects lines and writes them when BUFFER_BYTES_MAX is reached, `flush_seconds` after the first, and at the end.

    Without a destination nothing is kept. If the destination fails, lines are lost and counted; requests go on.
    """

    def __init__(
        self, destination: BinaryIO | None, *, as_text: bool = False, flush_seconds: float = FLUSH_SECONDS
    ) -> None:
        self._destination = destination
        self._as_text = as_text
        self._flush_seconds = flush_seconds
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._lines = 0
        self._second, self._second_text = -1, ""
        self.lost_lines = 0

    def write(  # noqa: PLR0913 - the fields of a line
        self,
        *,
        method: str,
        path: str,
        status: int,
        seconds: float,
        request_id: str,
        actor_id: str | None,
        client_address: str | None = None,
    ) -> None:
        """Adds one line. Call it from the event loop's thread."""
        if self._destination is None:
            return
        line = AccessLine(
            time=self._now(),
            method=method,
            path=path,
            status=status,
            duration_ms=round(seconds * 1000, 3),
            request_id=request_id,
            actor_id=actor_id,
            client_address=client_address,
        )
        self._buffer += _text(line) if self._as_text else self._encoder.encode(line)
        self._buffer += b"\n"
        self._lines += 1
        if len(self._buffer) >= BUFFER_BYTES_MAX:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._flush_seconds, self.flush)

    def _now(self) -> str:
        """The current time; the part up to the second is formatted once a second."""
        second, milliseconds = divmod(time_ns() // 1_000_000, 1_000)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_text}.{milliseconds:03d}Z"

    def flush(self) -> None:
        """Writes the collected lines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._destination is None or not self._buffer:
            return
        try:
            self._destination.write(self._buffer)
            self._destination.flush()
        except (OSError, ValueError):
            self.lost_lines += self._lines
        self._buffer = bytearray()
        self._lines = 0


def _text(line: AccessLine) -> bytes:
    path = line.path.encode("unicode_escape").decode()
    actor = line.actor_id or "-"
    return (
        f"{line.time} {line.method} {path} {line.status} {line.duration_ms:.1f}ms {actor} {line.request_id}"
    ).encode()
