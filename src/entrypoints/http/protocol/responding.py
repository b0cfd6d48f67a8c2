"""How a connection sends responses: closing late, closing after an unread body, answering unreadable requests."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from domain.errors import TandemError
from entrypoints.http.protocol.request import REJECTION

NO_METHOD = "-"
"""The method of a request that was never complete, in access lines."""
PATH_SHOWN_MAX = 256


class ResponseTransport:
    """The transport as responses use it: `end` decides when the connection is closed after the last of them."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = end


def closing_unless_continued(cycle: RequestResponseCycle, app: Any) -> Any:
    """The application for a request with `Expect: 100-continue`. A client that gets its response without having been
    asked for the body may leave the body out, and nobody knows what the next bytes are; so the connection ends there.
    """

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async def send_response(message: Any) -> None:
            if cycle.waiting_for_100_continue:
                cycle.keep_alive = False
            await send(message)

        await app(scope, receive, send_response)

    return answer


def unreadable_scope(whole: Any, url: bytes, error: TandemError) -> Any:
    """The scope of a request whose headers are not complete; `whole` has the facts about the connection."""
    path = url[:PATH_SHOWN_MAX].partition(b"?")[0].decode("latin-1") or "*"
    return {
        "type": "http",
        "http_version": "1.1",
        "root_path": "",
        "method": NO_METHOD,
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": b"",
        "headers": [],
        "state": {},
        **whole,
        REJECTION: error,
    }
