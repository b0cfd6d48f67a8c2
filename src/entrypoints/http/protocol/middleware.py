"""The one layer around every request: id, deadline, rate, safety headers, access line, counters."""

import asyncio
import itertools
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from loguru import logger

from domain.errors import NotFound, TandemError
from entrypoints.http.deadlines import Deadlines
from entrypoints.http.errors import PROBLEM_TYPE, problem
from entrypoints.http.protocol.problems import RETRY_SECONDS, DeadlinePassed, InternalFault, TooManyRequests
from entrypoints.http.protocol.request import EXCHANGE, Exchange, header
from entrypoints.http.security.authentication import Authentication, address_of
from entrypoints.http.security.rate_limit import RateLimiter

if TYPE_CHECKING:
    from loguru import Record

REQUEST_SECONDS_MAX = 30.0
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LIMITED_PREFIX = "/v1/"
_UNLIMITED = frozenset({"/v1/health"})
SIGN_IN_PATHS = frozenset({"/v1/auth/dev/token", "/v1/auth/google/login", "/v1/auth/google/callback"})
"""Where sessions begin; counted by address, apart from everything else."""

# What an answer may itself say otherwise.
_DEFAULT_HEADERS = (
    (b"cache-control", b"private, no-cache"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_FIXED_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


request_id_in_context: ContextVar[str | None] = ContextVar("request_id", default=None)


def name_request(record: "Record") -> None:
    """Puts the id of the request into an event that was logged while it was answered; a patcher for loguru."""
    request_id = request_id_in_context.get()
    if request_id is not None:
        record["extra"].setdefault("request_id", request_id)


class RequestCounters(Protocol):
    """Counts answered requests."""

    def observe(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Counts one request; the route is a template."""
        ...


class AccessLines(Protocol):
    """Keeps one line per request."""

    def write(
        self, *, method: str, path: str, status: int, seconds: float, request_id: str, actor_id: str | None
    ) -> None:
        """Takes one line; never blocks for long and never raises."""
        ...

    def flush(self) -> None:
        """Writes what was taken so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a caller may ask and how long an answer may take."""

    per_caller: RateLimiter | None = None
    sign_in: RateLimiter | None = None
    deadlines: Deadlines = field(default_factory=partial(Deadlines, REQUEST_SECONDS_MAX))


class RequestLayer:
    """Wraps the application's ASGI callable. Everything here happens on every request, so it is kept thin."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        counters: RequestCounters,
        access_lines: AccessLines,
        authentication: Authentication,
        limits: Limits,
    ) -> None:
        self._app = app
        self._counters = counters
        self._access_lines = access_lines
        self._authentication = authentication
        self._limits = limits
        self._is_limited = limits.per_caller is not None or limits.sign_in is not None
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        method: str = scope["method"]
        path: str = scope["path"]
        exchange = Exchange(self._request_id(scope), self._authentication)
        answering = Answering(send, exchange, is_head=method == "HEAD")
        # HEAD is answered by whatever answers GET. The server keeps the scope it gave, so it gets a copy.
        inner: Any = scope if method != "HEAD" else {**scope, "method": "GET"}
        inner[EXCHANGE] = exchange
        named = request_id_in_context.set(exchange.request_id)
        try:
            await self._answer(inner, receive, answering, started)
        finally:
            request_id_in_context.reset(named)
            seconds = perf_counter() - started
            identity, status = exchange.identity, answering.status
            self._counters.observe(route=exchange.route(inner), method=method, status=status, seconds=seconds)
            self._access_lines.write(
                method=method,
                path=path,
                status=status,
                seconds=seconds,
                request_id=exchange.request_id,
                actor_id=None if identity is None else identity.user_id,
            )

    async def _answer(self, scope: Any, receive: Receive, answering: "Answering", started: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("requests are answered inside tasks")
        self._limits.deadlines.enter(task, started)
        is_overdue = False
        try:
            if self._is_limited:
                self._take(scope, answering.exchange)
            _require_one_spelling(scope["path"])
            await self._app(scope, receive, answering.send)
        except TooManyRequests as refusal:
            retry_after = str(refusal.retry_after_seconds).encode()
            await answering.refuse(refusal, scope, ((b"retry-after", retry_after),))
        except NotFound as refusal:
            await answering.refuse(refusal, scope)
        except asyncio.CancelledError:
            is_overdue = self._limits.deadlines.leave(task)
            if not is_overdue:
                raise
        except Exception:  # noqa: BLE001 - the last line of defence: what the application's handler could not answer
            logger.exception("unanswered {}", scope["path"])
            await answering.refuse(InternalFault(), scope)
        finally:
            self._limits.deadlines.leave(task)
        if is_overdue:
            logger.error("gave up {}", scope["path"])
            await answering.refuse(DeadlinePassed(), scope, ((b"retry-after", b"%d" % RETRY_SECONDS),))

    def _take(self, scope: Mapping[str, Any], exchange: Exchange) -> None:
        path: str = scope["path"]
        if path in SIGN_IN_PATHS and self._limits.sign_in is not None:
            # Whoever signs in is nobody yet, whatever he carries.
            allowance = self._limits.sign_in.take(address_of(scope), monotonic())
        elif (
            self._limits.per_caller is not None
            and path.startswith(_LIMITED_PREFIX)
            and path not in _UNLIMITED
        ):
            allowance = self._limits.per_caller.take(self._authentication.caller(scope), monotonic())
        else:
            return
        exchange.rate_headers = allowance.headers()
        if allowance.retry_after_seconds:
            raise TooManyRequests(retry_after_seconds=allowance.retry_after_seconds)

    def _request_id(self, scope: Mapping[str, Any]) -> str:
        given = header(scope, b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._prefix}-{next(self._numbers):x}"


def _require_one_spelling(path: str) -> None:
    """Raises NotFound where the router would read another address: limits, keys and cursors go by the one that stands
    there.
    """
    if "//" in path or (path.endswith("/") and len(path) > 1):
        raise NotFound("There is nothing at this address; it has a slash too many.")


class Answering:
    """The way out: adds what every answer carries and notes how it ended."""

    __slots__ = ("_is_head", "_send", "exchange", "status")

    def __init__(self, send: Send, exchange: Exchange, *, is_head: bool) -> None:
        self._send = send
        self._is_head = is_head
        self.exchange = exchange
        # Until an answer starts, the client went away: the status nginx made usual for that.
        self.status = 499

    async def send(self, message: Message) -> None:
        """Stands in for the server's send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *_FIXED_HEADERS, *self.exchange.rate_headers]
            headers.append((b"x-request-id", self.exchange.request_id.encode("ascii")))
            own = {name for name, _ in message["headers"]}
            headers += [default for default in _DEFAULT_HEADERS if default[0] not in own]
            message["headers"] = headers
        elif self._is_head and message["type"] == "http.response.body":
            message["body"] = b""
        await self._send(message)

    async def refuse(
        self, error: TandemError, scope: Mapping[str, Any], headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Answers a problem; where an answer has begun already, the connection can only be left."""
        if self.status != 499:
            return
        status, body = problem(error, path=scope["path"], request_id=self.exchange.request_id)
        fixed = ((b"content-type", PROBLEM_TYPE.encode()), (b"content-length", b"%d" % len(body)))
        await self.send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
