"""One request and its answer, as the layers of the interface share it."""

from collections.abc import Mapping
from typing import Any, Protocol

from application.actor import Actor
from application.ports.tokens import Identity

EXCHANGE = "tandem.exchange"
UNMATCHED = "unmatched"


class ActorReader(Protocol):
    """Knows who asks."""

    def actor(self, scope: Mapping[str, Any]) -> Actor:
        """The signed-in caller. Raises Unauthenticated."""
        ...


class Exchange:
    """What is known of one request. `identity` is set once somebody asked for it and it was believed."""

    __slots__ = ("authentication", "identity", "rate_headers", "request_id")

    def __init__(self, request_id: str, authentication: ActorReader) -> None:
        self.request_id = request_id
        self.authentication = authentication
        self.identity: Identity | None = None
        self.rate_headers: tuple[tuple[bytes, bytes], ...] = ()

    def route(self, scope: Mapping[str, Any]) -> str:
        """The template of the matched route, the same for every id; `unmatched` for addresses that do not exist."""
        template: str = scope.get("path_template", UNMATCHED)
        return template


def exchange_of(scope: Mapping[str, Any]) -> Exchange:
    """The exchange that the request layer put into the scope."""
    exchange: Exchange = scope[EXCHANGE]
    return exchange


def header(scope: Mapping[str, Any], name: bytes) -> bytes | None:
    """The first header with this lower-case name."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for candidate, value in headers:
        if candidate == name:
            return value
    return None


def joined_header(scope: Mapping[str, Any], name: bytes) -> str | None:
    """All headers with this name as one list, as RFC 9110 reads repeated fields; None where there is none."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    values = [value for candidate, value in headers if candidate == name]
    return b", ".join(values).decode("latin-1") if values else None
