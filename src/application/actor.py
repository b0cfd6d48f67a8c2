"""Who asks, and under which request."""

from dataclasses import dataclass

from domain.permissions import Grants

SYSTEM_ID = "000000000000000000000000"


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """A caller's promise that a repetition means the same thing.

    `key` is already bound to caller and operation (a digest), `request_hash` to what was asked.
    """

    key: str
    request_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The caller of a use case; `claim` is set where the request may be repeated."""

    id: str
    grants: Grants
    request_id: str
    claim: IdempotencyClaim | None = None


def system_actor(request_id: str) -> Actor:
    """Tandem itself: seeding, importing from the command line, maintenance."""
    return Actor(id=SYSTEM_ID, grants=frozenset({"admin"}), request_id=request_id)
