"""The cost of the layers around a handler: request id, access log, counters, errors, a cached token."""

import io
import time
from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Litestar, Request, get

from adapters.auth.jwt_tokens import JwtTokens
from adapters.auth.keys import load_key_pair
from adapters.observability.access_log import AccessLog
from adapters.observability.request_metrics import RequestMetrics
from adapters.system.clock import SystemClock
from application.accounts.callers import Callers
from application.ports.tokens import Identity
from benchmarks.report import Report, at_most
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import read_settings
from entrypoints.http.protocol.error_answers import answer_error
from entrypoints.http.protocol.request import required_request
from entrypoints.http.request_layer import Limits, RequestLayer
from entrypoints.http.security.authentication import Authentication
from entrypoints.http.security.cross_origin import CrossOrigin

SECTION = "Around a handler"
CALLS = 4_000
ROUNDS = 9

Application = Callable[[Any, Any, Any], Awaitable[None]]


async def measure(report: Report) -> None:
    """The same handler bare and wrapped, called in turn in this process: CPU time of the thread."""
    tokens = JwtTokens(load_key_pair(None, None), clock=SystemClock())
    token = tokens.issue(Identity("a" * 24, frozenset())).access_token
    container = build_container(read_settings({"APP_ENV": "test", "MONTY_STORAGE": "memory"}))
    authentication = Authentication(tokens, container.builder().build(Callers))

    @get("/thing")
    async def bare(request: Request[Any, Any, Any]) -> dict[str, str]:  # noqa: ARG001 - both get the same
        return {"id": "65f1c0ffee65f1c0ffee65f1", "title": "Dig the pond, line it, fill it"}

    @get("/thing")
    async def signed_in(request: Request[Any, Any, Any]) -> dict[str, str]:  # noqa: ARG001 - both get the same
        await authentication.actor(required_request())
        return {"id": "65f1c0ffee65f1c0ffee65f1", "title": "Dig the pond, line it, fill it"}

    plain = Litestar([bare], openapi_config=None, logging_config=None)
    inner = Litestar(
        [signed_in], openapi_config=None, logging_config=None, exception_handlers={Exception: answer_error}
    )
    inner.asgi_handler = RequestLayer(
        inner.asgi_handler,
        counters=RequestMetrics(),
        access_lines=AccessLog(io.BytesIO()),
        authentication=authentication,
        limits=Limits(),
        cross_origin=CrossOrigin(()),
    )
    plain_us, wrapped_us = await _in_turn(plain, inner, token)
    raw = f"bare {plain_us:.1f} µs, wrapped {wrapped_us:.1f} µs, least of {ROUNDS} rounds of {CALLS}"
    report.add(SECTION, at_most("everything around a handler", wrapped_us - plain_us, 25, unit="µs", raw=raw))


async def _in_turn(plain: Application, wrapped: Application, token: str) -> tuple[float, float]:
    plain_rounds, wrapped_rounds = [], []
    for _ in range(ROUNDS):
        plain_rounds.append(await _cpu_us(plain, token))
        wrapped_rounds.append(await _cpu_us(wrapped, token))
    return min(plain_rounds), min(wrapped_rounds)


async def _cpu_us(application: Application, token: str) -> float:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: object) -> None:
        return

    began = time.thread_time_ns()
    for _ in range(CALLS):
        await application(_scope(token), receive, send)
    return (time.thread_time_ns() - began) / CALLS / 1_000


def _scope(token: str) -> dict[str, object]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/thing",
        "raw_path": b"/thing",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8_000),
        "state": {},
    }
