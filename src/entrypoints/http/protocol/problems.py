"""Errors over HTTP: the errors of HTTP itself, the status of each error, and problem documents (RFC 9457)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice

import msgspec

from domain.errors import (
    VIOLATIONS_MAX,
    AlreadyExists,
    AnswerPending,
    Conflict,
    Forbidden,
    Invalid,
    MirrorPending,
    NotFound,
    Purged,
    RuleBroken,
    StoreUnavailable,
    TandemError,
    Unauthenticated,
    Unavailable,
    VersionConflict,
    Violation,
)

PROBLEM_TYPE = "application/problem+json"
PROBLEMS_PATH = "/problems/"
RETRY_SECONDS = 1
CLIENT_DISCONNECTED = 499
"""The status that nginx uses for a client that disconnected before its response; it is never sent."""
VIOLATIONS_BYTES_MAX = 32 * 1024
TEXT_LENGTH_MAX = 500
"""The largest length of a pointer or message; longer ones contain input of the request and are cut."""


class Stale(TandemError):
    """This has changed since the version in If-Match; read it again and repeat your change."""

    code = "version_conflict"

    def __init__(self, message: str | None = None, *, current_version: int | None = None) -> None:
        super().__init__(message)
        self.current_version = current_version


class PreconditionMissing(TandemError):
    """Send the ETag of the version to change in If-Match."""

    code = "precondition_required"


class BodyTooLarge(TandemError):
    """The body is larger than this operation accepts; send a smaller one."""

    code = "body_too_large"

    @classmethod
    def than(cls, bytes_max: int) -> "BodyTooLarge":
        """The error that names the bound."""
        bound = f"{bytes_max // 2**20} MiB" if bytes_max >= 2**20 else f"{bytes_max // 2**10} KiB"
        return cls(f"The body is larger than the {bound} that this operation accepts; send a smaller one.")


class HeadersTooLarge(TandemError):
    """The headers of this request are too large; send fewer or shorter ones (64 KiB and 256 headers at most)."""

    code = "headers_too_large"


class AddressTooLong(TandemError):
    """The request line is too long; send a shorter address (8 KiB at most)."""

    code = "address_too_long"


class RequestOverdue(TandemError):
    """The request did not arrive in time; send its headers within 10 seconds and its body within 25."""

    code = "request_overdue"


class ClientDisconnected(TandemError):
    """The client closed the connection before the response; only logs and metrics show this."""

    code = "client_disconnected"


class UnsupportedMediaType(TandemError):
    """This operation does not accept bodies of this media type."""

    code = "unsupported_media_type"


class MethodNotAllowed(TandemError):
    """This address does not support this method; the header Allow lists the supported ones."""

    code = "method_not_allowed"

    def __init__(self, message: str | None = None, *, allow: Iterable[str] = ()) -> None:
        super().__init__(message)
        names = frozenset(allow)
        # HEAD is supported wherever GET is, OPTIONS everywhere.
        self.allow = ", ".join(sorted(names | {"OPTIONS"} | ({"HEAD"} if "GET" in names else set())))


class KeyReused(RuleBroken):
    """This Idempotency-Key was already used for another request; use a new one."""

    code = "idempotency_key_reused"


class TooManyRequests(TandemError):
    """You have sent too many requests; wait for the number of seconds in Retry-After."""

    code = "rate_limited"

    def __init__(self, message: str | None = None, *, retry_after_seconds: int = RETRY_SECONDS) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TooManyConnections(Unavailable):
    """Too many connections have requests in progress; close some, or try again later."""

    code = "too_many_connections"


class CrossSiteRejected(Forbidden):
    """This request is authenticated by a cookie, but does not prove that it comes from a page of this service."""

    code = "cross_site_refused"


class DeadlinePassed(Unavailable):
    """The request took too long and was cancelled; repeat it with the same Idempotency-Key."""

    code = "deadline_passed"


class InternalError(TandemError):
    """An internal error occurred; include the request id when you report it."""

    code = "internal"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The status and title of an error."""

    status: int
    title: str


_OUTCOMES: dict[type[TandemError], Outcome] = {
    NotFound: Outcome(404, "Not found"),
    Purged: Outcome(410, "Permanently removed"),
    Unauthenticated: Outcome(401, "Not signed in"),
    Forbidden: Outcome(403, "Not allowed"),
    CrossSiteRejected: Outcome(403, "Cross-site request rejected"),
    Conflict: Outcome(409, "Conflict with the current state"),
    VersionConflict: Outcome(409, "Changed in the meantime"),
    AlreadyExists: Outcome(409, "Already taken"),
    AnswerPending: Outcome(409, "Request in progress"),
    Invalid: Outcome(400, "Malformed input"),
    RuleBroken: Outcome(422, "Rule violated"),
    KeyReused: Outcome(422, "Idempotency-Key reused"),
    Unavailable: Outcome(503, "Temporarily unavailable"),
    StoreUnavailable: Outcome(503, "Store unavailable"),
    MirrorPending: Outcome(503, "Stored, but not yet confirmed by the mirror"),
    DeadlinePassed: Outcome(503, "Request timed out"),
    Stale: Outcome(412, "Changed in the meantime"),
    PreconditionMissing: Outcome(428, "If-Match required"),
    BodyTooLarge: Outcome(413, "Body too large"),
    HeadersTooLarge: Outcome(431, "Headers too large"),
    AddressTooLong: Outcome(414, "Address too long"),
    RequestOverdue: Outcome(408, "Request not complete in time"),
    ClientDisconnected: Outcome(CLIENT_DISCONNECTED, "Client disconnected"),
    TooManyConnections: Outcome(503, "Too many connections"),
    UnsupportedMediaType: Outcome(415, "Media type not supported"),
    MethodNotAllowed: Outcome(405, "Method not allowed"),
    TooManyRequests: Outcome(429, "Too many requests"),
    InternalError: Outcome(500, "Internal error"),
    TandemError: Outcome(500, "Internal error"),
}

KINDS: tuple[type[TandemError], ...] = tuple(kind for kind in _OUTCOMES if kind is not TandemError)
"""All kinds of problems that clients can get, for the pages that explain them."""


def outcome_of(kind: type[TandemError]) -> Outcome:
    """The outcome of the nearest ancestor with one: a new domain error is answered like its parent."""
    return next(_OUTCOMES[ancestor] for ancestor in kind.__mro__ if ancestor in _OUTCOMES)


class ViolationView(msgspec.Struct):
    """A violation: its place in the input (JSON pointer into the body, or the parameter) and a message."""

    pointer: str
    message: str


class ProblemView(msgspec.Struct, rename="camel", omit_defaults=True):
    """A problem document (RFC 9457): the reason for rejecting a request."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: tuple[ViolationView, ...] = ()
    current_version: int | None = None


def problem(error: TandemError, *, path: str, request_id: str) -> tuple[int, bytes]:
    """Status and encoded problem document of an error."""
    outcome = outcome_of(type(error))
    view = ProblemView(
        type=PROBLEMS_PATH + error.code,
        title=outcome.title,
        status=outcome.status,
        detail=_shown(error.message),
        # Bytes of a path that are not UTF-8 arrive as lone surrogates, which JSON cannot hold.
        instance=path.encode("utf-8", "replace").decode(),
        code=error.code,
        request_id=request_id,
        errors=tuple(_shown_violations(error.violations)),
        current_version=getattr(error, "current_version", None),
    )
    return outcome.status, msgspec.json.encode(view)


def _shown_violations(violations: Sequence[Violation]) -> Iterator[ViolationView]:
    """The first violations, as many as fit, but at least one."""
    left = VIOLATIONS_BYTES_MAX
    for violation in islice(violations, VIOLATIONS_MAX):
        if left <= 0:
            return
        view = ViolationView(_shown(violation.pointer), _shown(violation.message))
        left -= len(msgspec.json.encode(view))
        yield view


def _shown(text: str) -> str:
    """The text, cut to TEXT_LENGTH_MAX: names from the request may be long and contain characters without encoding."""
    shown = text if len(text) <= TEXT_LENGTH_MAX else f"{text[:TEXT_LENGTH_MAX]}…"
    return shown if shown.isascii() else shown.encode("utf-8", "replace").decode()


def phrase(status: int) -> str:
    """The reason phrase of a status, as RFC 9110 has it; Python before 3.13 knows older ones."""
    known = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}
    return known.get(status) or HTTPStatus(status).phrase


def problem_headers(error: TandemError) -> dict[str, str]:
    """The headers of an error."""
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="tandem"'}
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(RETRY_SECONDS)}
    if isinstance(error, MethodNotAllowed):
        return {"Allow": error.allow}
    return {}
