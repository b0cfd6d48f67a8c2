"""The edge where every exception becomes one problem document (RFC 9457)."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from loguru import logger

from domain.errors import (
    VIOLATIONS_MAX,
    Invalid,
    NotFound,
    TandemError,
    Unauthenticated,
    Unavailable,
    VersionConflict,
    Violation,
)
from entrypoints.http.addresses import addressed_record
from entrypoints.http.exchange import exchange_of
from entrypoints.http.refusals import (
    RETRY_SECONDS,
    BodyTooLarge,
    InternalFault,
    MethodNotAllowed,
    Stale,
    TooManyRequests,
    UnsupportedMediaType,
    allow_header,
    outcome_of,
)

PROBLEM_TYPE = "application/problem+json"
PROBLEMS_PATH = "/problems/"
FAULTS_BYTES_MAX = 32 * 1024
TEXT_LENGTH_MAX = 500
"""The most characters of a pointer or a sentence; what is longer holds what came with the request, and is cut."""


class ViolationView(msgspec.Struct):
    """One thing wrong with the input: where (JSON pointer into the body, or the parameter) and what to change."""

    pointer: str
    message: str


class ProblemView(msgspec.Struct, rename="camel", omit_defaults=True):
    """Why a request was refused."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: tuple[ViolationView, ...] = ()
    current_version: int | None = None


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The one exception handler of the application."""
    exchange = exchange_of(request.scope)
    known = _known(request, error)
    if isinstance(known, InternalFault):
        logger.bind(request_id=exchange.request_id).opt(exception=error).error(
            "unexpected {} at {} {}", type(error).__name__, request.method, exchange.route(request.scope)
        )
    status, body = problem(known, path=request.scope["path"], request_id=exchange.request_id)
    headers = _headers(known, error)
    return Response(content=body, status_code=status, media_type=PROBLEM_TYPE, headers=headers)


def problem(error: TandemError, *, path: str, request_id: str) -> tuple[int, bytes]:
    """Status and encoded problem document of an error."""
    outcome = outcome_of(type(error))
    view = ProblemView(
        type=PROBLEMS_PATH + error.code,
        title=outcome.title,
        status=outcome.status,
        detail=_shown(error.message),
        # Bytes of a path that are no UTF-8 arrive as lone surrogates, which JSON cannot carry.
        instance=path.encode("utf-8", "replace").decode(),
        code=error.code,
        request_id=request_id,
        errors=tuple(_shown_violations(error.violations)),
        current_version=getattr(error, "current_version", None),
    )
    return outcome.status, msgspec.json.encode(view)


def _shown_violations(violations: Sequence[Violation]) -> Iterator[ViolationView]:
    """The first violations, as many as fit: at least one."""
    left = FAULTS_BYTES_MAX
    for violation in islice(violations, VIOLATIONS_MAX):
        if left <= 0:
            return
        view = ViolationView(_shown(violation.pointer), _shown(violation.message))
        left -= len(msgspec.json.encode(view))
        yield view


def _shown(text: str) -> str:
    """Names that came with the request may hold anything, and much of it; what cannot be encoded is replaced."""
    shown = text if len(text) <= TEXT_LENGTH_MAX else f"{text[:TEXT_LENGTH_MAX]}…"
    return shown if shown.isascii() else shown.encode("utf-8", "replace").decode()


def _known(request: Request[Any, Any, Any], error: Exception) -> TandemError:
    if isinstance(error, VersionConflict):
        if not _is_addressed(request, error):
            # A version of something else would mislead whoever compares it with the one they know.
            return VersionConflict(error.message)
        # The caller named the version it saw: then its precondition failed. Otherwise two writers met.
        named = request.headers.get("if-match")
        return error if named is None or named.strip() == "*" else _stale(error)
    if isinstance(error, TandemError):
        return error
    if isinstance(error, HTTPException):
        return _of_framework(error)
    return InternalFault()


def _is_addressed(request: Request[Any, Any, Any], conflict: VersionConflict) -> bool:
    """Whether what changed is what the address of this request names."""
    route = exchange_of(request.scope).route(request.scope)
    addressed = addressed_record(route, request.scope.get("path_params", {}))
    return addressed is not None and conflict.concerns(*addressed)


def _stale(error: VersionConflict) -> Stale:
    return Stale(current_version=error.current_version)


_OF_FRAMEWORK: dict[int, type[TandemError]] = {
    401: Unauthenticated,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
}


def _of_framework(error: HTTPException) -> TandemError:
    if error.status_code in _OF_FRAMEWORK:
        return _OF_FRAMEWORK[error.status_code]()
    if error.status_code == 404:
        return NotFound("There is nothing at this address.")
    if error.status_code < 500:
        return Invalid("The request is malformed.")
    return InternalFault()


def _headers(known: TandemError, error: Exception) -> dict[str, str]:
    if isinstance(known, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="tandem"'}
    if isinstance(known, Unavailable):
        return {"Retry-After": str(RETRY_SECONDS)}
    if isinstance(known, TooManyRequests):
        return {"Retry-After": str(known.retry_after_seconds)}
    if isinstance(known, MethodNotAllowed) and isinstance(error, HTTPException):
        return {"Allow": allow_header((error.headers or {}).get("allow", "").split(", "))}
    return {}
