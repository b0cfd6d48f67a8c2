"""Authenticates requests: bearer tokens or cookies to identities, identities to actors."""

from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from loguru import logger

from application.accounts.callers import Callers
from application.actor import Actor
from application.ports.api_tokens import PREFIX
from application.ports.tokens import Identity, TokenPair, TokenReader
from domain.api_token import ApiToken, Scope
from domain.errors import Conflict, MirrorPending, Unauthenticated, Unavailable
from entrypoints.http.protocol.request import SAFE_METHODS, RawHeaders, Request, header
from entrypoints.http.protocol.request import Scope as HttpScope
from entrypoints.http.security.cookies import ACCESS, REFRESH, SessionCookies
from entrypoints.http.security.csrf import CrossSiteGuard
from entrypoints.http.security.rate_limit import RateLimiter

API_TOKENS_KNOWN_MAX = 10_000
"""How many API tokens a process remembers with their owners, to count requests by person."""
_SCHEME = "bearer"


class TokenVerifier(TokenReader, Protocol):
    """Verifies access tokens, and derives secrets that are the same in every process with the same keys."""

    def derived_secret(self, purpose: str) -> bytes:
        """32 secret bytes for this purpose."""


@dataclass(frozen=True, slots=True)
class PresentedTokens:
    """The unverified tokens of a request. `by_cookie`: the browser sent them automatically, as cookies."""

    access_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)
    by_cookie: bool


class Authentication:
    """Identifies the caller once per request and stores the identity in the request.

    A header Authorization takes precedence over cookies, even if it is malformed. Changes that are authenticated by a
    cookie must come from this service's own pages. `wrong_tokens` limits wrong API tokens by client address.
    """

    def __init__(
        self,
        tokens: TokenVerifier,
        callers: Callers,
        *,
        cookies: SessionCookies | None = None,
        guard: CrossSiteGuard | None = None,
        wrong_tokens: RateLimiter | None = None,
    ) -> None:
        self._tokens = tokens
        self._callers = callers
        self.cookies = cookies or SessionCookies(always_secure=False)
        self.guard = guard or CrossSiteGuard(tokens.derived_secret("csrf"))
        self._wrong_tokens = wrong_tokens
        self._owners: dict[str, str] = {}

    async def actor(self, request: Request) -> Actor:
        """The signed-in caller, with the rights that they have now. Raises Unauthenticated without a valid token,
        CrossSiteRejected, Forbidden for an API token without the scope that the method needs, TooManyRequests after
        many wrong API tokens.
        """
        credentials = request.header(b"authorization")
        if credentials is not None and (token := _api_token(request.scope)) is not None:
            return await self._owner_of(token, request)
        identity = self._identity(request)
        if request.method not in SAFE_METHODS and credentials is None:
            self.guard.require_own_page(request.scope, identity.session_id)
        if not identity.grants:
            return Actor(id=identity.user_id, grants=identity.grants, request_id=request.request_id)
        return await self._callers.by_access_token(identity, request_id=request.request_id)

    def caller(self, request: Request) -> str:
        """The rate-limit key of the caller: the user if the token is valid, otherwise the client's address. An API
        token counts by address until it has been found valid once.
        """
        try:
            token = _api_token(request.scope)
            if token is not None:
                return self._owners.get(token, request.client_address)
            return self._identity(request).user_id
        except Unauthenticated:
            return request.client_address

    def presented_tokens(self, scope: HttpScope) -> PresentedTokens:
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

    def session_cookies(self, scope: HttpScope, tokens: TokenPair) -> RawHeaders:
        """The headers that set these tokens, and the CSRF token of their session, as cookies."""
        return self.cookies.signed_in(scope, tokens, csrf_token=self.guard.token(tokens.session_id))

    async def _owner_of(self, text: str, request: Request) -> Actor:
        scope = Scope.READ if request.method in SAFE_METHODS else Scope.WRITE
        address = f"API token, {request.client_address}"
        if text not in self._owners and self._wrong_tokens is not None:
            self._wrong_tokens.require_some(address)
        try:
            actor, token = await self._callers.by_api_token(text, scope=scope, request_id=request.request_id)
        except Unauthenticated:
            self._owners.pop(text, None)
            if self._wrong_tokens is not None:
                self._wrong_tokens.take(address, monotonic())
            raise
        request.identity = Identity(actor.id, actor.grants)
        self._owners[text] = actor.id
        if len(self._owners) > API_TOKENS_KNOWN_MAX:
            del self._owners[next(iter(self._owners))]
        await self._note_use(actor, token)
        return actor

    async def _note_use(self, actor: Actor, token: ApiToken) -> None:
        """Records the use. A use that cannot be recorded is no reason to reject the request."""
        try:
            await self._callers.note_use(actor, token)
        except (Conflict, MirrorPending):
            # Another request has recorded its use, or this one is stored and the mirror follows.
            return
        except Unavailable as error:
            logger.warning("The last use of API token {} could not be recorded: {}", token.id, error.message)

    def _identity(self, request: Request) -> Identity:
        if request.identity is None:
            scope = request.scope
            token = self.cookies.read(scope, ACCESS) if header(scope, b"authorization") is None else None
            request.identity = self._tokens.read(_bearer_token(scope) if token is None else token)
        return request.identity


def _bearer_token(scope: HttpScope) -> str:
    credentials = header(scope, b"authorization")
    if credentials is None:
        raise Unauthenticated("Sign in first: send `Authorization: Bearer <access token>`.")
    scheme, _, token = credentials.decode("latin-1").partition(" ")
    token = token.strip()
    if scheme.lower() != _SCHEME or not token:
        raise Unauthenticated("The header Authorization must read `Bearer <access token>`.")
    return token


def _api_token(scope: HttpScope) -> str | None:
    """The API token of a request; None if it has none. Raises Unauthenticated for a malformed header Authorization."""
    if header(scope, b"authorization") is None:
        return None
    token = _bearer_token(scope)
    return token if token.startswith(PREFIX) else None
