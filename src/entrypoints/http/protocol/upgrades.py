"""Requests to upgrade, which are answered as if they asked for nothing (RFC 9110, 7.8).

httptools takes them for requests without a body and stops after their headers, so another parser reads what follows.
"""

from collections.abc import Iterable
from typing import Protocol

import httptools

_FRAMING = frozenset((b"connection", b"content-length", b"transfer-encoding"))
"""The headers that decide where a request ends, and whether another one may follow."""


class Callbacks(Protocol):
    """What a parser calls."""

    def on_message_begin(self) -> None: ...

    def on_url(self, url: bytes) -> None: ...

    def on_header(self, name: bytes, value: bytes) -> None: ...

    def on_headers_complete(self) -> None: ...

    def on_body(self, body: bytes) -> None: ...

    def on_message_complete(self) -> None: ...


class _AfterHeaders:
    """The callbacks of a parser whose first headers were announced by another parser."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._is_repeating = True
        self.on_body = callbacks.on_body
        self.on_message_complete = callbacks.on_message_complete

    def on_message_begin(self) -> None:
        if not self._is_repeating:
            self._callbacks.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._is_repeating:
            self._callbacks.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_repeating:
            self._callbacks.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._is_repeating:
            self._callbacks.on_headers_complete()
        self._is_repeating = False


def parser_after_headers(callbacks: Callbacks) -> httptools.HttpRequestParser:
    """A parser that announces nothing of the first headers it reads."""
    return httptools.HttpRequestParser(_AfterHeaders(callbacks))


def framing_of(headers: Iterable[tuple[bytes, bytes]], version: str) -> bytes:
    """Headers for such a parser that make it read what follows these ones (names in lower case) of a request of this
    version of HTTP.
    """
    framing = [b"%s: %s" % header for header in headers if header[0] in _FRAMING]
    return b"\r\n".join((f"POST * HTTP/{version}".encode(), *framing, b"", b""))
