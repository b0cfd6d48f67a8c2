"""What HTTP itself refuses, as members of the one tree of errors, and the table from error to status."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from domain.errors import (
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
)

RETRY_SECONDS = 1


class Stale(TandemError):
    """This is not the version you named; read it again and repeat your change."""

    code = "version_conflict"

    def __init__(self, message: str | None = None, *, current_version: int | None = None) -> None:
        super().__init__(message)
        self.current_version = current_version


class PreconditionMissing(TandemError):
    """Say which version you mean to change: send its ETag in If-Match."""

    code = "precondition_required"


class BodyTooLarge(TandemError):
    """The body is larger than this operation takes."""

    code = "body_too_large"


class UnsupportedMediaType(TandemError):
    """This operation does not read bodies of that type."""

    code = "unsupported_media_type"


class MethodNotAllowed(TandemError):
    """This address does not know that method; the header Allow names those it knows."""

    code = "method_not_allowed"


class KeyReused(RuleBroken):
    """This Idempotency-Key was used for another request; use a fresh one."""

    code = "idempotency_key_reused"


class TooManyRequests(TandemError):
    """You ask faster than this installation allows; wait as long as Retry-After says."""

    code = "rate_limited"

    def __init__(self, message: str | None = None, *, retry_after_seconds: int = RETRY_SECONDS) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class CrossSiteRefused(Forbidden):
    """A cookie signs this request, and nothing shows that a page of ours has sent it."""

    code = "cross_site_refused"


class DeadlinePassed(Unavailable):
    """This took longer than a request may take and was given up; ask again, with the same Idempotency-Key."""

    code = "deadline_passed"


class InternalFault(TandemError):
    """Something went wrong on our side. Name the request id when you report it."""

    code = "internal"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an error looks over HTTP."""

    status: int
    title: str


_OUTCOMES: dict[type[TandemError], Outcome] = {
    NotFound: Outcome(404, "Not found"),
    Purged: Outcome(410, "Removed for good"),
    Unauthenticated: Outcome(401, "Not signed in"),
    Forbidden: Outcome(403, "Not allowed"),
    CrossSiteRefused: Outcome(403, "Not from a page of ours"),
    Conflict: Outcome(409, "Conflict with the present state"),
    VersionConflict: Outcome(409, "Changed in the meantime"),
    AlreadyExists: Outcome(409, "Already taken"),
    AnswerPending: Outcome(409, "Still being worked on"),
    Invalid: Outcome(400, "Malformed input"),
    RuleBroken: Outcome(422, "Refused by a rule"),
    KeyReused: Outcome(422, "Idempotency-Key reused"),
    Unavailable: Outcome(503, "Not available right now"),
    StoreUnavailable: Outcome(503, "The store does not answer"),
    MirrorPending: Outcome(503, "Stored, not confirmed by the second store yet"),
    DeadlinePassed: Outcome(503, "Took too long"),
    Stale: Outcome(412, "Changed in the meantime"),
    PreconditionMissing: Outcome(428, "Version not named"),
    BodyTooLarge: Outcome(413, "Body too large"),
    UnsupportedMediaType: Outcome(415, "Media type not supported"),
    MethodNotAllowed: Outcome(405, "Method not allowed"),
    TooManyRequests: Outcome(429, "Too many requests"),
    InternalFault: Outcome(500, "Internal error"),
    TandemError: Outcome(500, "Internal error"),
}

KINDS: tuple[type[TandemError], ...] = tuple(kind for kind in _OUTCOMES if kind is not TandemError)
"""Every kind of problem a client may meet, for the pages that explain them."""


def outcome_of(kind: type[TandemError]) -> Outcome:
    """The outcome of the nearest known class: a new domain error is answered like its parent."""
    return next(_OUTCOMES[ancestor] for ancestor in kind.__mro__ if ancestor in _OUTCOMES)


def allow_header(methods: Iterable[str]) -> str:
    """The methods of an address as Allow lists them; HEAD is answered wherever GET is."""
    names = frozenset(methods)
    return ", ".join(sorted(names | {"HEAD"} if "GET" in names else names))


def phrase(status: int) -> str:
    """The standard words of a status."""
    return HTTPStatus(status).phrase
