"""Authenticates requests: bearer tokens or cookies to identities, identities to actors."""

from dataclasses import dataclass, field
from typing import Protocol

from application.actor import Actor
from application.ports.tokens import Identity, TokenPair
from domain.errors import Unauthenticated
from entrypoints.http.protocol.request import SAFE_METHODS, RawHeaders, Request, Scope, header
from entrypoints.http.security.cookies import ACCESS, REFRESH, SessionCookies
from entrypoints.http.security.csrf import CrossSiteGuard

_SCHEME = "bearer"


class TokenVerifier(Protocol):
    """Verifies access tokens, and derives secrets that are the same in every process with the same keys."""

    def read(self, access_token: str) -> Identity:
        """The identity that the token was issued for. Raises Unauthenticated."""
        ...

    def session_of(self, access_token: str) -> str | None:
        """The session of the token, even if the token has expired. Raises Unauthenticated."""
        ...

    def derived_secret(self, purpose: str) -> bytes:
        """32 secret bytes for this purpose."""
        ...


@dataclass(frozen=True, slots=True)
class PresentedTokens:
    """The unverified tokens of a request. `by_cookie`: the browser sent them automatically, as cookies."""

    access_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)
    by_cookie: bool


class Authentication:
    """Identifies the caller once per request and stores the identity in the request.

    A header Authorization takes precedence over cookies, even if it is malformed. Changes that are authenticated by a
    cookie must come from this service's own pages.
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

    def actor(self, request: Request) -> Actor:
        """The signed-in caller. Raises Unauthenticated without a valid token, CrossSiteRejected."""
        identity = self._identity(request)
        if request.method not in SAFE_METHODS and request.header(b"authorization") is None:
            self.guard.require_own_page(request.scope, identity.session_id)
        return Actor(id=identity.user_id, grants=identity.grants, request_id=request.request_id)

    def caller(self, request: Request) -> str:
        """The rate-limit key of the caller: the user if the token is valid, otherwise the client's address."""
        try:
            return self._identity(request).user_id
        except Unauthenticated:
            return request.client_address

    def presented_tokens(self, scope: Scope) -> PresentedTokens:
        """The tokens of a request. Raises Unauthenticated for a malformed header Authorization."""
        if header(scope, b"authorization") is not None:
            return PresentedTokens(_bearer_token(scope), None, by_cookie=False)
        access, refresh = self.cookies.read(scope, ACCESS), self.cookies.read(scope, REFRESH)
        return PresentedTokens(access, refresh, by_cookie=access is not None or refresh is not None)

    def session_id_of(self, presented: PresentedTokens) -> str | None:
        """The id of the session that these tokens belong to; None without tokens."""
        if presented.refresh_token is not None:
            return presented.refresh_token.partition(".")[0]
        return None if presented.access_token is None else self._tokens.session_of(presented.access_token)

    def session_cookies(self, scope: Scope, tokens: TokenPair) -> RawHeaders:
        """The headers that set these tokens, and the CSRF token of their session, as cookies."""
        return self.cookies.signed_in(scope, tokens, csrf_token=self.guard.token(tokens.session_id))

    def _identity(self, request: Request) -> Identity:
        if request.identity is None:
            scope = request.scope
            token = self.cookies.read(scope, ACCESS) if header(scope, b"authorization") is None else None
            request.identity = self._tokens.read(_bearer_token(scope) if token is None else token)
        return request.identity


def _bearer_token(scope: Scope) -> str:
    credentials = header(scope, b"authorization")
    if credentials is None:
        raise Unauthenticated("Sign in first: send `Authorization: Bearer <access token>`.")
    scheme, _, token = credentials.decode("latin-1").partition(" ")
    token = token.strip()
    if scheme.lower() != _SCHEME or not token:
        raise Unauthenticated("The header Authorization must read `Bearer <access token>`.")
    return token
