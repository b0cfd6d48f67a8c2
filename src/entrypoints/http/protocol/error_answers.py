"""Answers to requests that ended with an error."""

from typing import Any

from litestar import Response
from litestar.connection import Request as FrameworkRequest
from litestar.exceptions import HTTPException
from loguru import logger

from domain.errors import Invalid, NotFound, StoreUnavailable, TandemError
from entrypoints.composition.failures import StoreRefused
from entrypoints.composition.health import without_places
from entrypoints.http.protocol.problems import (
    PROBLEM_TYPE,
    InternalError,
    MethodNotAllowed,
    problem,
    problem_headers,
)
from entrypoints.http.protocol.request import required_request


def answer_error(_request: FrameworkRequest[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of the application."""
    request = required_request()
    known = _known(error)
    if isinstance(known, InternalError):
        logger.bind(request_id=request.request_id).opt(exception=error).error(
            "Unexpected {} at {} {}", type(error).__name__, request.method, request.route
        )
    status, body = problem(known, path=request.path, request_id=request.request_id)
    return Response(content=body, status_code=status, media_type=PROBLEM_TYPE, headers=problem_headers(known))


def _known(error: Exception) -> TandemError:
    """The error as a TandemError. A step of the move meets stores that must not be used as they are; the framework only
    raises errors of routing.
    """
    if isinstance(error, TandemError):
        return error
    if isinstance(error, StoreRefused):
        return StoreUnavailable(without_places(str(error)))
    if not isinstance(error, HTTPException) or error.status_code >= 500:
        return InternalError()
    if error.status_code == 404:
        return NotFound("There is nothing at this address.")
    if error.status_code == 405:
        return MethodNotAllowed(allow=(error.headers or {}).get("allow", "").split(", "))
    return Invalid("The request is malformed.")
