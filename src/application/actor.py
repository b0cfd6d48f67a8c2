"""The caller of a use case, with their request."""

from dataclasses import dataclass

from domain.permissions import Grants, NotedGrants

SYSTEM_ID = "000000000000000000000000"


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """The idempotency key of a request.

    `key` is a digest that includes caller and operation; `request_hash` is a digest of the request's content.
    """

    key: str
    request_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The caller of a use case; `claim` is set if the request has an idempotency key, `api_token_id` if an API token
    authenticates the request.
    """

    id: str
    grants: Grants
    request_id: str
    claim: IdempotencyClaim | None = None
    api_token_id: str | None = None

    def __post_init__(self) -> None:
        if self.grants and not isinstance(self.grants, NotedGrants):
            object.__setattr__(self, "grants", NotedGrants(self.grants))

    @property
    def used_grants(self) -> frozenset[object]:
        """The grants of the account on which decisions of this request have rested so far."""
        return frozenset(self.grants.used) if isinstance(self.grants, NotedGrants) else frozenset()


def system_actor(request_id: str) -> Actor:
    """Tandem itself, for seeding, imports on the command line and maintenance."""
    return Actor(id=SYSTEM_ID, grants=frozenset({"admin"}), request_id=request_id)
