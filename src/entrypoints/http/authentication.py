"""Who asks: bearer tokens to identities, identities to actors."""

from collections.abc import Mapping
from typing import Any, Protocol

from litestar import Request

from application.actor import Actor
from application.ports.tokens import Identity
from domain.errors import Unauthenticated
from entrypoints.http.exchange import exchange_of, header

_SCHEME = "bearer"


class TokenVerifier(Protocol):
    """Believes access tokens, and lends secrets that every process with the same keys has."""

    def read(self, access_token: str) -> Identity:
        """Whom the token speaks for. Raises Unauthenticated."""
        ...

    def derived_secret(self, purpose: str) -> bytes:
        """32 secret bytes for this purpose."""
        ...


class Authentication:
    """Reads the caller once per request and remembers him in the exchange."""

    def __init__(self, tokens: TokenVerifier) -> None:
        self._tokens = tokens

    def actor(self, scope: Mapping[str, Any]) -> Actor:
        """The signed-in caller. Raises Unauthenticated where nobody is, or nobody we believe."""
        identity = self._identity(scope)
        return Actor(id=identity.user_id, grants=identity.grants, request_id=exchange_of(scope).request_id)

    def caller(self, scope: Mapping[str, Any]) -> str:
        """Whom to count a request for: the user where the token is believed, otherwise the client's address."""
        try:
            return self._identity(scope).user_id
        except Unauthenticated:
            client = scope.get("client")
            return f"address {client[0]}" if client else "address unknown"

    def _identity(self, scope: Mapping[str, Any]) -> Identity:
        exchange = exchange_of(scope)
        if exchange.identity is None:
            exchange.identity = self._tokens.read(_bearer_token(scope))
        return exchange.identity


def _bearer_token(scope: Mapping[str, Any]) -> str:
    credentials = header(scope, b"authorization")
    if credentials is None:
        raise Unauthenticated("Sign in first: send `Authorization: Bearer <access token>`.")
    scheme, _, token = credentials.decode("latin-1").partition(" ")
    token = token.strip()
    if scheme.lower() != _SCHEME or not token:
        raise Unauthenticated("The header Authorization must read `Bearer <access token>`.")
    return token


def actor_of(request: Request[Any, Any, Any]) -> Actor:
    """The signed-in caller of a request. Raises Unauthenticated."""
    return exchange_of(request.scope).authentication.actor(request.scope)
