"""The errors of Tandem, as one small tree with stable codes.

    TandemError
    ├── NotFound ............. the actor may not see anything with this id
    │   └── Purged ........... it was permanently removed
    ├── Unauthenticated ...... no valid credentials
    ├── Forbidden ............ the actor may see it but not do this
    ├── Conflict ............. the present state does not allow it
    │   ├── VersionConflict .. the write named a version that is not the current one
    │   ├── AlreadyExists .... a unique value is taken
    │   └── AnswerPending .... a request with this idempotency key is in progress
    ├── Invalid .............. malformed input
    ├── RuleBroken ........... well-formed input that breaks a rule
    └── Unavailable .......... try again later
        ├── StoreUnavailable . a store does not answer
        └── MirrorPending .... durable in the source, not yet confirmed by the target

A class's docstring is its default message; `code` never changes once released.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

VIOLATIONS_MAX = 100
"""How many violations one error names. The search for violations stops there: an input can have as many as characters.
"""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with an input: its place (JSON pointer) and what to change."""

    pointer: str
    message: str


class TandemError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, *, violations: Sequence[Violation] = ()) -> None:
        self.message = message or " ".join((type(self).__doc__ or "").split())
        self.violations = tuple(violations)
        super().__init__(self.message)


class NotFound(TandemError):
    """There is nothing here with this id."""

    code = "not_found"


class Purged(NotFound):
    """This was permanently removed and cannot be restored."""

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
        """Whether the conflict is about this entity; a conflict raised by the entity itself has no collection."""
        return self.entity_id == entity_id and self.collection in (None, collection)


class AlreadyExists(Conflict):
    """A value that must be unique is already taken."""

    code = "already_exists"

    def __init__(self, message: str | None = None, *, fields: Sequence[str] = ()) -> None:
        super().__init__(message, violations=[Violation(f"/{name}", "is already taken") for name in fields])
        self.fields = tuple(fields)


class AnswerPending(Conflict):
    """A request with this idempotency key is still in progress; try again in a moment."""

    code = "answer_pending"


class Invalid(TandemError):
    """The input is malformed."""

    code = "invalid"


class RuleBroken(TandemError):
    """The input is well formed but breaks a rule."""

    code = "rule_broken"


class Unavailable(TandemError):
    """This cannot be done right now; try again in a moment."""

    code = "unavailable"


class StoreUnavailable(Unavailable):
    """The store does not answer; try again in a moment."""

    code = "store_unavailable"
    is_of_the_store: ClassVar[bool] = True
    """Whether the store itself is in trouble. False where one request waited for another, or asked for too much."""
    names_cause: ClassVar[bool] = True
    """Whether the message says what is wrong. False where all that is known is that no answer came in time."""
    names_remedy: ClassVar[bool] = False
    """Whether the store answers, so that the message says all that can be done about it."""


class MirrorPending(Unavailable):
    """The change is stored and will reach the second store, which has not confirmed it yet."""

    code = "mirror_pending"
