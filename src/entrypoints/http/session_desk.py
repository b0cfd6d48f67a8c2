"""What the handlers of signing in work with; see desks.py for why each asks for exactly one desk."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from application.accounts import sessions
from application.ports.sign_in import IdentityProvider
from application.ports.tokens import TokenPair
from entrypoints.composition.settings import Settings
from entrypoints.http.protocol.answers import RawHeaders
from entrypoints.http.security.authentication import Authentication
from entrypoints.http.security.rate_limit import RateLimiter


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDesk:
    """For signing in. `provider` and what uses it are None where no provider is set up."""

    sign_in: sessions.SignInByEmail
    sign_in_with_provider: sessions.SignInWithProvider | None
    provider: IdentityProvider | None
    refresh: sessions.RefreshSession
    end: sessions.EndSession
    authentication: Authentication
    settings: Settings
    limiter: RateLimiter | None

    def count(self, email: str) -> None:
        """Counts a sign-in to an address. Raises TooManyRequests where there were too many."""
        if self.limiter is not None:
            self.limiter.require(f"e-mail {email}")

    def cookies_of(self, scope: Mapping[str, Any], tokens: TokenPair) -> RawHeaders:
        """What sets these tokens as cookies, and the CSRF token of their session beside them."""
        csrf_token = self.authentication.guard.token(tokens.session_id)
        return self.authentication.cookies.signed_in(scope, tokens, csrf_token=csrf_token)


class SessionUseCases(Protocol):
    """What the container must have for it."""

    @property
    def settings(self) -> Callable[[], Settings]: ...
    @property
    def sign_in_by_email(self) -> Callable[[], sessions.SignInByEmail]: ...
    @property
    def sign_in_with_provider(self) -> Callable[[], sessions.SignInWithProvider]: ...
    @property
    def identity_provider(self) -> Callable[[], IdentityProvider | None]: ...
    @property
    def refresh_session(self) -> Callable[[], sessions.RefreshSession]: ...
    @property
    def end_session(self) -> Callable[[], sessions.EndSession]: ...


def session_desk(container: SessionUseCases, authentication: Authentication) -> SessionDesk:
    """The desk of these use cases."""
    settings, provider = container.settings(), container.identity_provider()
    return SessionDesk(
        sign_in=container.sign_in_by_email(),
        sign_in_with_provider=None if provider is None else container.sign_in_with_provider(),
        provider=provider,
        refresh=container.refresh_session(),
        end=container.end_session(),
        authentication=authentication,
        settings=settings,
        limiter=RateLimiter.of(settings.http.sign_in_rate_limit),
    )
