"""A bounded HTTP load on 127.0.0.1: keep-alive connections that send one request after the other.

The generator only reads the status, length and location of an answer, so that it costs less than the measured service.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

REQUESTS_MAX = 300_000
ANSWER_SECONDS_MAX = 30.0

MakeRequest = Callable[[int], bytes]


@dataclass(slots=True)
class LoadResult:
    """The number of answered requests, their latencies, rejections by status, and locations of created resources."""

    requests: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    rejected: dict[int, int] = field(default_factory=dict)
    locations: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """The number of answered requests per second."""
        return self.requests / self.seconds


def get(path: str, token: str | None = None) -> bytes:
    """A GET request."""
    return _head("GET", path, token, "").encode() + b"\r\n"


def post(path: str, body: bytes, token: str | None = None) -> bytes:
    """A POST request with a JSON body."""
    return _with_body("POST", path, body, token)


def patch(path: str, body: bytes, token: str | None = None) -> bytes:
    """A PATCH request with a JSON body."""
    return _with_body("PATCH", path, body, token)


def _with_body(method: str, path: str, body: bytes, token: str | None) -> bytes:
    extra = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return _head(method, path, token, extra).encode() + b"\r\n" + body


def _head(method: str, path: str, token: str | None, extra: str) -> str:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}{extra}"


async def run_load(port: int, make_request: MakeRequest, *, requests: int, connections: int) -> LoadResult:
    """Sends `requests` requests over `connections` connections; `make_request` gets the request's number."""
    if requests > REQUESTS_MAX:
        raise ValueError(f"at most {REQUESTS_MAX} requests")
    result = LoadResult()
    numbers = iter(range(requests))
    began = time.perf_counter()
    await asyncio.gather(*(_connection(port, make_request, numbers, result) for _ in range(connections)))
    result.seconds = time.perf_counter() - began
    return result


async def _connection(port: int, make_request: MakeRequest, numbers: object, result: LoadResult) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number in numbers:  # type: ignore[attr-defined]
            began = time.perf_counter()
            writer.write(make_request(number))
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                status, location = await _answer(reader)
            result.latencies_ms.append((time.perf_counter() - began) * 1000)
            result.requests += 1
            if location is not None:
                result.locations.append(location)
            if status >= 300:
                result.rejected[status] = result.rejected.get(status, 0) + 1
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, str | None]:
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    length = _named(lower, head, b"content-length:")
    if length is not None and int(length):
        await reader.readexactly(int(length))
    location = _named(lower, head, b"location:")
    return int(head[9:12]), None if location is None else location.decode()


def _named(lower: bytes, head: bytes, name: bytes) -> bytes | None:
    start = lower.find(b"\r\n" + name)
    if start < 0:
        return None
    start += len(name) + 2
    return head[start : head.index(b"\r\n", start)].strip()
