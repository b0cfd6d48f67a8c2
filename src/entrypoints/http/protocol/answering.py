"""Sending an answer: the headers that all answers have, compression, and the status for logs and metrics."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from litestar.types import Message, Send

from domain.errors import TandemError
from entrypoints.http.protocol.compression import (
    PLAIN_BYTES_MAX,
    VARY,
    accepts_gzip,
    compressed,
    headers_of_compressed,
    is_compressible,
)
from entrypoints.http.protocol.problems import (
    CLIENT_DISCONNECTED,
    PROBLEM_TYPE,
    problem,
    problem_headers,
)
from entrypoints.http.protocol.request import DISCONNECTED, Request, joined_header

_UNCOMPRESSED_PREFIX = "/v1/auth/"
"""Responses with secrets: the length of a compressed one could reveal them (BREACH)."""
_LENGTH_DIGITS_MIN = len(str(PLAIN_BYTES_MAX))

# Headers that an answer may override.
_DEFAULT_HEADERS = (
    (b"cache-control", b"private, no-cache"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_FIXED_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


MoreHeaders = Callable[[Mapping[str, Any], Sequence[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]]


class Answering:
    """Sends the answer with the headers that all answers have, and records its status."""

    __slots__ = (
        "_has_started",
        "_is_head",
        "_more_headers",
        "_request",
        "_scope",
        "_send",
        "_start",
        "status",
    )

    def __init__(self, send: Send, request: Request, *, scope: Any, more_headers: MoreHeaders) -> None:
        """`more_headers` are those that depend on the request and on the headers of the answer."""
        self._send = send
        self._more_headers = more_headers
        self._scope = scope
        self._is_head = scope["method"] == "HEAD"
        self._request = request
        self._has_started = False
        # Replaced once the answer starts.
        self.status = CLIENT_DISCONNECTED
        # The start of an answer whose headers depend on its compressed body.
        self._start: Any = None

    async def send(self, message: Message) -> None:
        """Replaces the server's send."""
        if message["type"] == "http.response.start":
            self._has_started = True
            if DISCONNECTED not in self._scope:
                self.status = message["status"]
            if self._add_headers(message) and self._accepts_gzip():
                self._start = message
                return
        elif message["type"] == "http.response.body":
            if self._start is not None:
                await self._send_start(message)
            if self._is_head:
                message["body"] = b""
        await self._send(message)

    def _add_headers(self, message: Any) -> bool:
        """Adds the headers of all answers. Returns whether this answer is compressed for clients that accept it."""
        own = dict(message["headers"])
        request = self._request
        headers = [*message["headers"], *_FIXED_HEADERS, *request.rate_headers, *request.token_headers]
        headers.append((b"x-request-id", self._request.request_id.encode("ascii")))
        headers += [default for default in _DEFAULT_HEADERS if default[0] not in own]
        headers += self._more_headers(self._scope, headers)
        message["headers"] = headers
        length = own.get(b"content-length", b"")
        # Most answers are short; nothing else is looked at for them.
        is_compressed = len(length) >= _LENGTH_DIGITS_MIN and self._is_compressible(message["status"], own)
        if is_compressed or message["status"] == 304:
            headers.append(VARY)
        return is_compressed

    def _is_compressible(self, status: int, headers: dict[bytes, bytes]) -> bool:
        return is_compressible(status, headers) and not self._request.path.startswith(_UNCOMPRESSED_PREFIX)

    def _accepts_gzip(self) -> bool:
        accepted = joined_header(self._scope, b"accept-encoding")
        return accepted is not None and accepts_gzip(accepted)

    async def _send_start(self, message: Any) -> None:
        """Compresses the body in the message, if it is the whole body, and sends the start that was held back."""
        start, self._start = self._start, None
        if not message.get("more_body", False):
            message["body"] = await compressed(message["body"])
            start["headers"] = headers_of_compressed(start["headers"], len(message["body"]))
        await self._send(start)

    async def reject(self, error: TandemError) -> None:
        """Answers with a problem, unless another answer has already started."""
        if self._has_started:
            return
        status, body = problem(error, path=self._request.path, request_id=self._request.request_id)
        fields = {"Content-Type": PROBLEM_TYPE, "Content-Length": str(len(body)), **problem_headers(error)}
        headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
