"""A client that sends bytes, not requests."""

import contextlib
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

RECEIVED_MAX = 4 * 1024 * 1024
SECONDS_MAX = 20.0


@dataclass(frozen=True)
class RawResponse:
    """A response as it arrived."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """The problem document."""
        view: dict[str, Any] = json.loads(self.body)
        return view


class RawClient:
    """One connection. `source` is the local address that it comes from."""

    def __init__(self, url: str, *, source: str = "127.0.0.1", seconds_max: float = SECONDS_MAX) -> None:
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or 0)
        self._socket = socket.create_connection(address, seconds_max, source_address=(source, 0))
        self._received = b""

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Sends everything, whatever the server says. False if the connection broke."""
        try:
            self._socket.sendall(data)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def send_all(self, parts: Iterable[bytes]) -> bool:
        """Sends the parts until the connection breaks."""
        return all(self.send(part) for part in parts)

    def response(self) -> RawResponse:
        """The next response. Raises ConnectionError or TimeoutError if none comes."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return RawResponse(int(first.split(" ")[1]), headers, body)

    def is_closed(self) -> bool:
        """Waits until the server closes the connection. False if it does not, or sends something."""
        if self._received:
            return False
        try:
            return self._socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def _receive(self) -> None:
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionError(f"closed after {self._received[:200]!r}")
        self._received += data
        if len(self._received) > RECEIVED_MAX:
            raise ConnectionError("the response is too large")


def request(method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
    """A request with these header lines."""
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: tandem.test", *lines, "", ""])
    return head.encode("latin-1") + body


def status_of(url: str, data: bytes) -> int:
    """The status of one request on a connection of its own; 0 if no response came."""
    with contextlib.suppress(ConnectionError, TimeoutError), RawClient(url) as client:
        client.send(data)
        return client.response().status
    return 0
