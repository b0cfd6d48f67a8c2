"""The layer around every request: id, deadline, rate limit, security headers, access log, metrics."""

import asyncio
import itertools
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from litestar.types import ASGIApp, Receive, Send
from loguru import logger

from domain.errors import NotFound, TandemError
from entrypoints.http.protocol.answering import Answering
from entrypoints.http.protocol.problems import DeadlinePassed, InternalError, TooManyRequests
from entrypoints.http.protocol.request import (
    REJECTION,
    CallerReader,
    Request,
    current_request,
    enter,
    header,
    leave,
)
from entrypoints.http.security.cross_origin import CrossOrigin
from entrypoints.http.security.proxies import TrustedProxies
from entrypoints.http.security.rate_limit import RateLimiter

if TYPE_CHECKING:
    from loguru import Record

REQUEST_SECONDS_MAX = 30.0
LOOK_SECONDS = 1.0
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LIMITED_PREFIX = "/v1/"
_UNLIMITED = frozenset({"/v1/health"})
_SIGN_IN_PREFIX = "/v1/auth/"
_UNCOUNTED_SIGN_INS = frozenset({"/v1/auth/methods"})
"""Addresses below the prefix that tell the same to everybody."""
_JOINING = "/v1/teams/join"


def name_request(record: "Record") -> None:
    """Adds the id of the current request to a log event; a patcher for loguru."""
    request = current_request()
    if request is not None:
        record["extra"].setdefault("request_id", request.request_id)


class RequestCounters(Protocol):
    """Counts answered requests."""

    def observe(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Counts one request; the route is a template."""


class AccessLines(Protocol):
    """The access log: one line per request."""

    def write(  # noqa: PLR0913 - the fields of a line
        self,
        *,
        method: str,
        path: str,
        status: int,
        seconds: float,
        request_id: str,
        actor_id: str | None,
        client_address: str | None,
    ) -> None:
        """Adds one line. Does not block for long and never raises."""

    def flush(self) -> None:
        """Writes the lines that have been added so far."""


class Deadlines:
    """Cancels the tasks of requests that take longer than `allowed_seconds`, checked every `look_seconds`.

    One shared timer, because a timer for each request would cost more than the rest of this layer. The number of tasks
    is bounded by the requests in flight.
    """

    def __init__(self, allowed_seconds: float, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._allowed_seconds = allowed_seconds
        self._look_seconds = look_seconds
        self._started: dict[asyncio.Task[object], float] = {}
        self._overdue: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def enter(self, task: asyncio.Task[object], now_seconds: float) -> None:
        """Registers the task of a request; `now_seconds` is its start by the performance counter."""
        self._started[task] = now_seconds
        if self._timer is None or self._loop is not task.get_loop():
            self._loop = task.get_loop()
            self._timer = self._loop.call_later(self._look_seconds, self._look)

    def leave(self, task: asyncio.Task[object]) -> bool:
        """Unregisters a task. Returns whether it was cancelled here, and withdraws that cancellation."""
        self._started.pop(task, None)
        if task not in self._overdue:
            return False
        self._overdue.discard(task)
        task.uncancel()
        return True

    def _look(self) -> None:
        now = perf_counter()
        for task, started in list(self._started.items()):
            if now - started >= self._allowed_seconds and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        self._timer = None
        if self._started and self._loop is not None:
            self._timer = self._loop.call_later(self._look_seconds, self._look)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Rate limits, the proxies whose word about clients counts, and the time limit of a request."""

    per_caller: RateLimiter | None = None
    sign_in: RateLimiter | None = None
    proxies: TrustedProxies | None = None
    deadlines: Deadlines = field(default_factory=partial(Deadlines, REQUEST_SECONDS_MAX))


class RequestLayer:
    """Wraps the application's ASGI callable. It runs for every request, so it must be fast."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        counters: RequestCounters,
        access_lines: AccessLines,
        authentication: CallerReader,
        limits: Limits,
        cross_origin: CrossOrigin,
    ) -> None:
        self._app = app
        self._more_headers = cross_origin.headers
        self._counters = counters
        self._access_lines = access_lines
        self._authentication = authentication
        self._limits = limits
        self._is_limited = limits.per_caller is not None or limits.sign_in is not None
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        if self._limits.proxies is not None:
            self._limits.proxies.apply(scope)
        method: str = scope["method"]
        path: str = scope["path"]
        # The handler of GET also answers HEAD. The server keeps using its scope, so this is a copy.
        inner: Any = scope if method != "HEAD" else {**scope, "method": "GET"}
        request = Request(
            inner, receive, request_id=self._request_id(scope), authentication=self._authentication
        )
        answering = Answering(send, request, scope=scope, more_headers=self._more_headers)
        entered = enter(request)
        try:
            await self._answer(request, receive, answering, started)
        finally:
            leave(entered)
            seconds = perf_counter() - started
            identity, status = request.identity, answering.status
            self._counters.observe(route=request.route, method=method, status=status, seconds=seconds)
            self._access_lines.write(
                method=method,
                path=path,
                status=status,
                seconds=seconds,
                request_id=request.request_id,
                actor_id=None if identity is None else identity.user_id,
                client_address=request.network_address,
            )

    async def _answer(
        self, request: Request, receive: Receive, answering: "Answering", started: float
    ) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request must be answered in a task")
        self._limits.deadlines.enter(task, started)
        is_overdue = False
        try:
            _require_answerable(request)
            if self._is_limited:
                self._take(request)
            await self._app(request.scope, receive, answering.send)
        except TandemError as error:
            await answering.reject(error)
        except asyncio.CancelledError:
            is_overdue = self._limits.deadlines.leave(task)
            if not is_overdue:
                raise
        except Exception:  # noqa: BLE001 - errors that the application's exception handler missed
            logger.exception("Unhandled error at {}", request.path)
            await answering.reject(InternalError())
        finally:
            self._limits.deadlines.leave(task)
        if is_overdue:
            logger.error("Request timed out at {}", request.path)
            await answering.reject(DeadlinePassed())

    def _take(self, request: Request) -> None:
        """Counts the request. Raises TooManyRequests."""
        path, limits = request.path, self._limits
        if request.method == "OPTIONS":
            return  # Browsers ask so before they make a request for a page of another origin, which then counts.
        if _is_sign_in(path) and limits.sign_in is not None:
            # The user is not known before the sign-in, whichever token the request has.
            allowance = limits.sign_in.take(request.client_address, monotonic())
        elif limits.per_caller is not None and path.startswith(_LIMITED_PREFIX) and path not in _UNLIMITED:
            allowance = limits.per_caller.take(request.caller(), monotonic())
        else:
            return
        request.rate_headers = allowance.headers()
        if allowance.retry_after_seconds:
            raise TooManyRequests(retry_after_seconds=allowance.retry_after_seconds)

    def _request_id(self, scope: Mapping[str, Any]) -> str:
        given = header(scope, b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._prefix}-{next(self._numbers):x}"


def _is_sign_in(path: str) -> bool:
    """Whether requests to this address can try out secrets, so that they are limited by the client's address."""
    is_sign_in = path.startswith(_SIGN_IN_PREFIX) and path not in _UNCOUNTED_SIGN_INS
    return is_sign_in or path == _JOINING


def _require_answerable(request: Request) -> None:
    """Raises the error that the connection found in the request, or NotFound for an address that the router would
    normalise: rate limits, idempotency keys and cursors use the path as it was sent.
    """
    rejection: TandemError | None = request.scope.get(REJECTION)
    if rejection is not None:
        raise rejection
    path = request.path
    if "//" in path or (path.endswith("/") and len(path) > 1):
        raise NotFound("There is nothing at this address; remove the extra slash.")
