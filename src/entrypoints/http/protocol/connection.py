"""One HTTP connection: Uvicorn's protocol over httptools, with bounds on the bytes and the time of a request.

httptools is the fastest parser, but it has no bounds: it collects headers, trailers and addresses of any length, and
Uvicorn waits for them without end. A request that exceeds a bound is answered by the application like any other, with
its request id, access line and metrics; after the response the connection is closed.
"""

import asyncio
import re
from math import inf
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from domain.errors import Invalid, TandemError
from entrypoints.http.protocol.admission import Connections
from entrypoints.http.protocol.problems import (
    AddressTooLong,
    HeadersTooLarge,
    RequestOverdue,
    TooManyConnections,
)
from entrypoints.http.protocol.request import DISCONNECTED, REJECTION
from entrypoints.http.protocol.responding import (
    PATH_SHOWN_MAX,
    ResponseTransport,
    closing_unless_continued,
    unreadable_scope,
)
from entrypoints.http.protocol.upgrades import framing_of, parser_after_headers

FRAMING_PER_BYTE_MAX = 16
_LINE_EXTRA = len(b"  HTTP/1.1")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-fv:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?", re.ASCII)


class BoundedConnection(HttpToolsProtocol):
    """A connection within the bounds of its `register`, which a subclass names."""

    register: ClassVar[Connections]

    def __init__(self, *arguments: Any, **parts: Any) -> None:
        super().__init__(*arguments, **parts)
        self.bounds = self.register.bounds
        self.deadline = inf
        self.waiting_since = inf
        self.url = b""
        self._responses: ResponseTransport | None = None
        self._running: RequestResponseCycle | None = None
        # Whether the headers of the next request are not complete, have begun, and the number of their bytes so far.
        self._in_head = True
        self._has_begun = False
        self._head_bytes = 0
        self._fed_bytes = 0
        self._body_bytes = 0
        self._wire_bytes = 0
        self._is_idle = False
        # Whether the rest of what the client sends is thrown away.
        self._is_deaf = False
        self._is_ending = False
        self._discarded_bytes = 0
        self._unread_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._responses = ResponseTransport(transport, self.end_after_response)
        self.waiting_since = self.loop.time()
        self.deadline = self.waiting_since + self.bounds.head_seconds_max
        if not self.register.admit(self, self.client[0] if self.client else ""):
            self._refuse(TooManyConnections())

    def connection_lost(self, exc: Exception | None) -> None:
        self.register.remove(self)
        # Uvicorn tells only the last request of a pipeline, which may not have started.
        for cycle in (self._running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.scope[DISCONNECTED] = True  # type: ignore[literal-required]
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)
        self._responses = self._running = None

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._discard(len(data))
            return
        if self._is_idle:
            self._is_idle = False
            self.deadline = self.loop.time() + self.bounds.head_seconds_max
        self._fed_bytes = len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(Invalid("This is not an HTTP request."))
        else:
            if not self._is_deaf:
                self._check_bytes()

    def _parse(self, data: bytes) -> None:
        """Parses the data. Raises HttpParserError."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                if not self._is_asked_to_upgrade():
                    # After CONNECT comes the content of a tunnel, which this service does not provide.
                    self.cycle.keep_alive = False
                    self._is_deaf = True
                    return
                data = framing_of(self.headers, self.parser.get_http_version()) + data[stop.args[0] :]
                self.parser = parser_after_headers(self)
            else:
                return

    def _is_asked_to_upgrade(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _check_bytes(self) -> None:
        """Checks what has arrived of a request that is not complete."""
        if self._in_head:
            self._head_bytes += self._fed_bytes
            if len(self.url) > self.bounds.request_line_bytes_max:
                self._refuse(AddressTooLong())
            elif self._head_bytes > self.bounds.head_bytes_max:
                self._refuse(HeadersTooLarge())
            return
        self._wire_bytes += self._fed_bytes
        if self.cycle.response_complete:
            self._discard(self._fed_bytes)
        elif self._wire_bytes > self._body_bytes * FRAMING_PER_BYTE_MAX + self.bounds.framing_bytes_max:
            self._refuse(Invalid("The chunks of the body have too many bytes around their content."))

    def on_message_begin(self) -> None:
        self._has_begun = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers, which come after the body, are dropped: they must not pass for headers that were checked.
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        rejection = self._oversize() or self._misaddressed()
        if rejection is not None:
            self.url = self.url[:PATH_SHOWN_MAX]
            self.scope[REJECTION] = rejection  # type: ignore[literal-required]
        if self.expect_100_continue and self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False
        super().on_headers_complete()
        self.cycle.transport = self._responses  # type: ignore[assignment]
        self.cycle.keep_alive = self.cycle.keep_alive and rejection is None
        self._in_head = False
        # The headers in the same piece of data must not count as framing of the body.
        self._wire_bytes = -self._fed_bytes
        self._body_bytes = 0
        self.waiting_since = inf
        self.deadline = self.loop.time() + self.bounds.body_seconds_max

    def _oversize(self) -> TandemError | None:
        """The error of complete headers. Most requests are shorter than the bounds as a whole."""
        if len(self.url) + len(self.parser.get_method()) + _LINE_EXTRA > self.bounds.request_line_bytes_max:
            return AddressTooLong()
        if len(self.headers) > self.bounds.headers_max:
            return HeadersTooLarge()
        if self._head_bytes + self._fed_bytes > self.bounds.head_bytes_max:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.bounds.head_bytes_max:
                return HeadersTooLarge()
        return None

    def _misaddressed(self) -> TandemError | None:
        """The error of a request that does not name one host (RFC 9112, 3.2); HTTP/1.0 may leave it out."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            return Invalid("A request needs one Host header.")
        if hosts and not _HOST.fullmatch(hosts[0]):
            return Invalid("The Host header is not a host with or without a port.")
        return None

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_asked_to_upgrade():
            # The body, if there is one, is still to come.
            return
        super().on_message_complete()
        self._in_head = True
        self._has_begun = False
        # What is left of this piece of data belongs to the next request, and is counted with the one after it.
        self._head_bytes = -self._fed_bytes
        if not self.cycle.response_complete:
            self.deadline = inf
        elif self._is_ending:
            self.transport.close()
        else:
            self._wait_for_request()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._running = None
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self.deadline = inf if self._in_head else self.loop.time() + self.bounds.body_seconds_max
            self._start_asgi_task(cycle, app)
        elif self._is_ending or not self._in_head:
            self._discarded_bytes = 0
            self.waiting_since = self.loop.time()
            self.deadline = self.waiting_since + self.bounds.discard_seconds_max
        else:
            self._wait_for_request()

    def _wait_for_request(self) -> None:
        self.waiting_since = self.loop.time()
        self._unread_bytes = self.transport.get_write_buffer_size()
        if self._unread_bytes:
            self.deadline = self.waiting_since + self.bounds.stall_seconds_max
        else:
            self._is_idle = not self._has_begun
            seconds = self.bounds.idle_seconds_max if self._is_idle else self.bounds.head_seconds_max
            self.deadline = self.waiting_since + seconds

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        if cycle.waiting_for_100_continue:
            app = closing_unless_continued(cycle, app)
        super()._start_asgi_task(cycle, app)

    def _refuse(self, error: TandemError) -> None:
        """Answers a request that cannot be read to its end, when its turn comes, and reads nothing else."""
        self._is_deaf = True
        self._is_idle = False
        cycle = self.cycle
        if self._in_head:
            self._refuse_head(error)
        elif cycle.response_complete:
            self._is_ending = True
            self._close()
        else:
            cycle.keep_alive = False
            cycle.scope[REJECTION] = error  # type: ignore[literal-required]
            cycle.more_body = False
            cycle.message_event.set()

    def _refuse_head(self, error: TandemError) -> None:
        is_busy = self._running is not None
        whole = {
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
        }
        self.cycle = RequestResponseCycle(
            scope=unreadable_scope(whole, self.url, error),
            transport=self._responses,  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self.waiting_since = self.deadline = inf
        if is_busy:
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def end_after_response(self) -> None:
        """Closes the connection once the client has sent the rest of its request, or after the bound: closing earlier
        would reset the connection, and the client could lose the response.
        """
        is_read = self._in_head and not self._is_deaf
        if is_read or not self.cycle.response_complete:
            self._close()
            return
        self._is_ending = True
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def _discard(self, count: int) -> None:
        self._discarded_bytes += count
        if self._discarded_bytes > self.bounds.discarded_bytes_max:
            self._close()

    def _close(self) -> None:
        """Closes the connection once the client has read what was sent; if they do not, the deadline ends it."""
        self._unread_bytes = self.transport.get_write_buffer_size()
        self.deadline = self.loop.time() + self.bounds.stall_seconds_max
        self.transport.close()

    def end_overdue(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread:
            self._end_stalled(unread)
        elif self.transport.is_closing():
            self.transport.abort()
        elif self._unread_bytes and self._in_head and self._running is None and not self._is_deaf:
            self._wait_for_request()
        elif self._is_deaf or self._has_nothing_to_answer():
            self._close()
        elif not self._in_head and self.flow.read_paused:
            # The service does not read at the moment, so the client cannot send.
            self.deadline = self.loop.time() + self.bounds.look_seconds
        else:
            self._refuse(RequestOverdue())

    def _has_nothing_to_answer(self) -> bool:
        """Whether the client has sent nothing, or only the rest of a request that was answered."""
        return (
            not self._has_begun and self._head_bytes <= 0 if self._in_head else self.cycle.response_complete
        )

    def _end_stalled(self, unread: int) -> None:
        """Ends the connection if the client reads its response too slowly."""
        if self._unread_bytes - unread < self.bounds.stall_bytes_min:
            self.transport.abort()
        else:
            self._unread_bytes = unread
            self.deadline = self.loop.time() + self.bounds.stall_seconds_max

    def evict(self) -> None:
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_bytes = self.transport.get_write_buffer_size()
        self.deadline = min(self.deadline, self.loop.time() + self.bounds.stall_seconds_max)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._running is not None and self._in_head:
            self._unread_bytes = 0
            self.deadline = inf


def within(register: Connections) -> type[BoundedConnection]:
    """The kind of connections that this register bounds."""

    class Registered(BoundedConnection):
        pass

    Registered.register = register
    return Registered
