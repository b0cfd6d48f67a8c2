"""Everything that may be refused, as one small tree with stable codes.

    TandemError
    ├── NotFound ............. nothing the actor may know of has this id
    │   └── Purged ........... it existed and was removed for good
    ├── Unauthenticated ...... nobody, or nobody we believe
    ├── Forbidden ............ known, and not allowed
    ├── Conflict ............. the present state refuses
    │   ├── VersionConflict .. the write named a version that is not the current one
    │   ├── AlreadyExists .... a unique value is taken
    │   └── AnswerPending .... the same idempotency key is being worked on
    ├── Invalid .............. malformed input
    ├── RuleBroken ........... well-formed input that a rule refuses
    └── Unavailable .......... try again later
        ├── StoreUnavailable . a store does not answer
        └── MirrorPending .... durable in the source, not yet confirmed by the target

A class's docstring is its default message; `code` never changes once released.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

VIOLATIONS_MAX = 100
"""The most violations that one refusal names, and that anybody looks for: input may hold as many as it has characters."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with an input: where (JSON pointer) and what a person should change."""

    pointer: str
    message: str


class TandemError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, *, violations: Sequence[Violation] = ()) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.violations = tuple(violations)
        super().__init__(self.message)


class NotFound(TandemError):
    """There is nothing here with this id."""

    code = "not_found"


class Purged(NotFound):
    """This was removed for good and cannot come back."""

    code = "purged"


class Unauthenticated(TandemError):
    """Sign in first."""

    code = "unauthenticated"


class Forbidden(TandemError):
    """You may not do this."""

    code = "forbidden"


class Conflict(TandemError):
    """The present state does not allow this."""

    code = "conflict"


class VersionConflict(Conflict):
    """Somebody changed this in the meantime; read it again and repeat your change."""

    code = "version_conflict"

    def __init__(
        self,
        message: str | None = None,
        *,
        current_version: int | None = None,
        collection: str | None = None,
        entity_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.current_version = current_version
        self.collection = collection
        self.entity_id = entity_id

    def concerns(self, collection: str, entity_id: str) -> bool:
        """Whether this entity is the one that changed; an entity that refuses a version knows only its own id."""
        return self.entity_id == entity_id and self.collection in (None, collection)


class AlreadyExists(Conflict):
    """A value that must be unique is already taken."""

    code = "already_exists"

    def __init__(self, message: str | None = None, *, fields: Sequence[str] = ()) -> None:
        super().__init__(message, violations=[Violation(f"/{name}", "is already taken") for name in fields])
        self.fields = tuple(fields)


class AnswerPending(Conflict):
    """A request with this idempotency key is still being worked on; ask again in a moment."""

    code = "answer_pending"


class Invalid(TandemError):
    """The input is malformed."""

    code = "invalid"


class RuleBroken(TandemError):
    """The input is well formed but a rule refuses it."""

    code = "rule_broken"


class Unavailable(TandemError):
    """This cannot be done right now; try again in a moment."""

    code = "unavailable"


class StoreUnavailable(Unavailable):
    """The store does not answer; try again in a moment."""

    code = "store_unavailable"


class MirrorPending(Unavailable):
    """The change is stored and will reach the second store, which has not confirmed it yet."""

    code = "mirror_pending"
