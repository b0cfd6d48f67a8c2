"""Who asks: bearer tokens or cookies to identities, identities to actors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from litestar import Request

from application.actor import Actor
from application.ports.tokens import Identity
from domain.errors import Unauthenticated
from entrypoints.http.protocol.request import exchange_of, header
from entrypoints.http.security.cookies import ACCESS, REFRESH, SessionCookies
from entrypoints.http.security.csrf import SAFE_METHODS, CrossSiteGuard

_SCHEME = "bearer"


class TokenVerifier(Protocol):
    """Believes access tokens, and lends secrets that every process with the same keys has."""

    def read(self, access_token: str) -> Identity:
        """Whom the token speaks for. Raises Unauthenticated."""
        ...

    def session_of(self, access_token: str) -> str | None:
        """The session it came from, also when it has expired. Raises Unauthenticated."""
        ...

    def derived_secret(self, purpose: str) -> bytes:
        """32 secret bytes for this purpose."""
        ...


@dataclass(frozen=True, slots=True)
class Brought:
    """The tokens that came with a request, not looked at yet. `by_cookie`: a browser added them on its own."""

    access_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)
    by_cookie: bool


class Authentication:
    """Reads the caller once per request and remembers him in the exchange.

    A header Authorization wins over cookies, whatever it holds. Changes that a cookie signs must come from our own
    pages.
    """

    def __init__(
        self,
        tokens: TokenVerifier,
        cookies: SessionCookies | None = None,
        guard: CrossSiteGuard | None = None,
    ) -> None:
        self._tokens = tokens
        self.cookies = cookies or SessionCookies(always_secure=False)
        self.guard = guard or CrossSiteGuard(tokens.derived_secret("csrf"))

    def actor(self, scope: Mapping[str, Any]) -> Actor:
        """The signed-in caller. Raises Unauthenticated where nobody is, or nobody we believe, CrossSiteRefused."""
        identity = self._identity(scope)
        if scope["method"] not in SAFE_METHODS and header(scope, b"authorization") is None:
            self.guard.require_own_page(scope, identity.session_id)
        return Actor(id=identity.user_id, grants=identity.grants, request_id=exchange_of(scope).request_id)

    def caller(self, scope: Mapping[str, Any]) -> str:
        """Whom to count a request for: the user where the token is believed, otherwise the client's address."""
        try:
            return self._identity(scope).user_id
        except Unauthenticated:
            return address_of(scope)

    def brought(self, scope: Mapping[str, Any]) -> Brought:
        """The tokens that came with a request. Raises Unauthenticated for a malformed header Authorization."""
        if header(scope, b"authorization") is not None:
            return Brought(_bearer_token(scope), None, by_cookie=False)
        access, refresh = self.cookies.read(scope, ACCESS), self.cookies.read(scope, REFRESH)
        return Brought(access, refresh, by_cookie=access is not None or refresh is not None)

    def session_brought(self, brought: Brought) -> str | None:
        """The session that these tokens claim to belong to; None where they claim nothing."""
        if brought.refresh_token is not None:
            return brought.refresh_token.partition(".")[0]
        return None if brought.access_token is None else self._tokens.session_of(brought.access_token)

    def _identity(self, scope: Mapping[str, Any]) -> Identity:
        exchange = exchange_of(scope)
        if exchange.identity is None:
            token = self.cookies.read(scope, ACCESS) if header(scope, b"authorization") is None else None
            exchange.identity = self._tokens.read(_bearer_token(scope) if token is None else token)
        return exchange.identity


def address_of(scope: Mapping[str, Any]) -> str:
    """The client's address, as a name to count requests under."""
    client = scope.get("client")
    return f"address {client[0]}" if client else "address unknown"


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
    """The signed-in caller of a request. Raises Unauthenticated, CrossSiteRefused."""
    return exchange_of(request.scope).authentication.actor(request.scope)
