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

from litestar.types import ASGIApp, Message, Receive, Send
from loguru import logger

from domain.errors import NotFound, TandemError
from entrypoints.http.protocol.problems import (
    PROBLEM_TYPE,
    DeadlinePassed,
    InternalError,
    TooManyRequests,
    problem,
    problem_headers,
)
from entrypoints.http.protocol.request import (
    CallerReader,
    RawHeaders,
    Request,
    current_request,
    enter,
    header,
    leave,
)

if TYPE_CHECKING:
    from loguru import Record

REQUEST_SECONDS_MAX = 30.0
LOOK_SECONDS = 1.0
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LIMITED_PREFIX = "/v1/"
_UNLIMITED = frozenset({"/v1/health"})
SIGN_IN_PATHS = frozenset(
    {"/v1/auth/dev/token", "/v1/auth/dev/session", "/v1/auth/google/login", "/v1/auth/google/callback"}
)
"""Sign-in requests, which have a rate limit of their own by client address."""

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


def name_request(record: "Record") -> None:
    """Adds the id of the current request to a log event; a patcher for loguru."""
    request = current_request()
    if request is not None:
        record["extra"].setdefault("request_id", request.request_id)


class RequestCounters(Protocol):
    """Counts answered requests."""

    def observe(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Counts one request; the route is a template."""
        ...


class AccessLines(Protocol):
    """The access log: one line per request."""

    def write(
        self, *, method: str, path: str, status: int, seconds: float, request_id: str, actor_id: str | None
    ) -> None:
        """Adds one line. Does not block for long and never raises."""
        ...

    def flush(self) -> None:
        """Writes the lines that have been added so far."""
        ...


class Allowance(Protocol):
    """The remaining allowance of a caller. `retry_after_seconds` is 0 if the request is allowed."""

    @property
    def retry_after_seconds(self) -> int: ...

    def headers(self) -> RawHeaders:
        """The RateLimit headers."""
        ...


class Limiter(Protocol):
    """Counts the requests of each caller."""

    def take(self, caller: str, now_seconds: float) -> Allowance:
        """Takes one request from the caller's allowance."""
        ...


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
    """Rate limits, and the time limit of a request."""

    per_caller: Limiter | None = None
    sign_in: Limiter | None = None
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
    ) -> None:
        self._app = app
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
        method: str = scope["method"]
        path: str = scope["path"]
        # The handler of GET also answers HEAD. The server keeps using its scope, so this is a copy.
        inner: Any = scope if method != "HEAD" else {**scope, "method": "GET"}
        request = Request(
            inner, receive, request_id=self._request_id(scope), authentication=self._authentication
        )
        answering = Answering(send, request, is_head=method == "HEAD")
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
            if self._is_limited:
                self._take(request)
            _require_one_spelling(request.path)
            await self._app(request.scope, receive, answering.send)
        except (TooManyRequests, NotFound) as error:
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
        if path in SIGN_IN_PATHS and limits.sign_in is not None:
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


def _require_one_spelling(path: str) -> None:
    """Raises NotFound for an address that the router would normalise: rate limits, idempotency keys and cursors use the
    path as it was sent.
    """
    if "//" in path or (path.endswith("/") and len(path) > 1):
        raise NotFound("There is nothing at this address; remove the extra slash.")


class Answering:
    """Sends the answer with the headers that all answers have, and records its status."""

    __slots__ = ("_is_head", "_request", "_send", "status")

    def __init__(self, send: Send, request: Request, *, is_head: bool) -> None:
        self._send = send
        self._is_head = is_head
        self._request = request
        # The status of nginx for a client that disconnected; replaced once the answer starts.
        self.status = 499

    async def send(self, message: Message) -> None:
        """Replaces the server's send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *_FIXED_HEADERS, *self._request.rate_headers]
            headers.append((b"x-request-id", self._request.request_id.encode("ascii")))
            own = {name for name, _ in message["headers"]}
            headers += [default for default in _DEFAULT_HEADERS if default[0] not in own]
            message["headers"] = headers
        elif self._is_head and message["type"] == "http.response.body":
            message["body"] = b""
        await self._send(message)

    async def reject(self, error: TandemError) -> None:
        """Answers with a problem, unless another answer has already started."""
        if self.status != 499:
            return
        status, body = problem(error, path=self._request.path, request_id=self._request.request_id)
        fields = {"Content-Type": PROBLEM_TYPE, "Content-Length": str(len(body)), **problem_headers(error)}
        headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
