"""/v1/auth: signing in (with Google, or by e-mail address alone in development), refreshing, signing out.

If a sign-in with Google fails, the browser is redirected to UI_URL with an error code, and nothing is changed.
"""

from typing import Annotated
from urllib.parse import parse_qs, urlencode

from loguru import logger
from msgspec import UNSET, Meta, Struct, UnsetType

from application.accounts.sessions import EndSession, RefreshSession, SignInByEmail, SignInWithProvider
from application.actor import Actor, system_actor
from application.ports.sign_in import IdentityProvider, SignInFailed, SignInFailure
from application.ports.tokens import TokenPair
from domain.errors import NotFound, TandemError, Unauthenticated
from domain.user import User, normal_email
from entrypoints.composition.settings import Settings
from entrypoints.http.protocol.answers import NO_STORE, Answer, encoded
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.request import RawHeaders, Request
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Id, InstantText
from entrypoints.http.security.authentication import Authentication, PresentedTokens
from entrypoints.http.security.cookies import TICKET
from entrypoints.http.security.rate_limit import RateLimiter
from entrypoints.http.users import Email, UserName, UserView, whole_user_view

BEARER = "Bearer"
BODY_BYTES_MAX = 16 * 1024
"""Small, because anybody can send these bodies without signing in."""
TICKET_SECONDS = 10 * 60
QUERY_LENGTH_MAX = 16 * 1024
PARAMETERS_MAX = 50
NOT_SET_UP = (
    "Sign-in with Google is not configured: set GOOGLE_OAUTH_CLIENT_ID and GOOGLE_OAUTH_CLIENT_SECRET."
)

RefreshTokenText = Annotated[str, Meta(max_length=200)]


class DevTokenBody(Struct, rename="camel", forbid_unknown_fields=True):
    """The user to sign in; `name` is used for a new account."""

    email: Email
    name: UserName | None = None


class RefreshBody(Struct, rename="camel", forbid_unknown_fields=True):
    """The current refresh token; absent if the browser sends it as a cookie."""

    refresh_token: RefreshTokenText | UnsetType = UNSET


class SignedInView(Struct, rename="camel"):
    """New tokens and their user."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in_seconds: int
    user: UserView


class RefreshedView(Struct, rename="camel"):
    """New tokens and their user; without the tokens if they were set as cookies that scripts cannot read."""

    token_type: str
    expires_in_seconds: int
    user: UserView
    access_token: str | UnsetType = UNSET
    refresh_token: str | UnsetType = UNSET


class SignInMethodsView(Struct):
    """The methods that a sign-in page may offer. `token`: API tokens, as every installation accepts them."""

    google: bool
    dev: bool
    token: bool


class SessionEntryView(Struct, rename="camel"):
    """The fields of a session in audit entries. The hash of a refresh token is never shown."""

    user_id: Id
    expires_at: InstantText
    ended_because: str | None
    is_deleted: bool
    deleted_at: InstantText | None
    deleted_by: Id | None


class SessionController(Controller, path="/v1/auth"):
    """Sessions and their tokens."""

    sign_in: SignInByEmail
    refresh_session: RefreshSession
    end_session: EndSession
    authentication: Authentication
    settings: Settings
    sign_in_limiter: RateLimiter | None

    @operation(
        "POST",
        "/dev/token",
        summary="Sign in with an e-mail address alone; only in development and test, 404 otherwise",
        view=SignedInView,
        body_bytes_max=BODY_BYTES_MAX,
        public=True,
        stored=False,
        only_if=lambda controller: not controller.settings.is_production,
        also=(404, 409),
    )
    async def dev_token(self, request: Request, body: DevTokenBody) -> SignedInView:
        if self.sign_in_limiter is not None:
            self.sign_in_limiter.require(f"e-mail {normal_email(body.email)}")
        found, tokens = await self.sign_in(_unknown_actor(request), body.email, body.name)
        return SignedInView(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            token_type=BEARER,
            expires_in_seconds=tokens.expires_in_seconds,
            user=whole_user_view(found),
        )

    @operation(
        "POST",
        "/dev/session",
        summary="Sign in a browser with an e-mail address alone; only in development and test, 404 otherwise",
        status=204,
        body_bytes_max=BODY_BYTES_MAX,
        public=True,
        only_if=lambda controller: not controller.settings.is_production,
        also=(403, 404, 409),
    )
    async def dev_session(self, request: Request, body: DevTokenBody) -> Answer:
        self.authentication.guard.require_no_foreign_page(request.scope)
        if self.sign_in_limiter is not None:
            self.sign_in_limiter.require(f"e-mail {normal_email(body.email)}")
        _, tokens = await self.sign_in(_unknown_actor(request), body.email, body.name)
        cookies = self.authentication.session_cookies(request.scope, tokens)
        return Answer(status=204, headers=(*NO_STORE, *cookies))

    @operation(
        "GET",
        "/methods",
        summary="Say which sign-in methods this installation offers",
        view=SignInMethodsView,
        public=True,
        stored=False,
    )
    async def methods(self) -> SignInMethodsView:
        return SignInMethodsView(
            google=self.settings.google is not None, dev=not self.settings.is_production, token=True
        )

    @operation(
        "POST",
        "/refresh",
        summary="Exchange a current refresh token (body or cookie) for new tokens. A token replaced within the last ten"
        " seconds yields another successor; an older one ends the session",
        view=RefreshedView,
        body_bytes_max=BODY_BYTES_MAX,
        public=True,
        stored=False,
        also=(401, 403, 409),
    )
    async def refresh(self, request: Request, body: RefreshBody | None) -> RefreshedView | Answer:
        presented = self._presented_tokens(request, body)
        if presented.refresh_token is None:
            raise Unauthenticated("Send the refresh token, in the body as `refreshToken` or as a cookie.")
        self._require_own_browser(request, presented)
        found, tokens = await self.refresh_session(_unknown_actor(request), presented.refresh_token)
        if not presented.by_cookie:
            return _refreshed_view(found, tokens, with_tokens=True)
        headers = (*NO_STORE, *self.authentication.session_cookies(request.scope, tokens))
        return Answer(encoded(_refreshed_view(found, tokens, with_tokens=False)), headers=headers)

    @operation(
        "POST",
        "/logout",
        summary="End the session of the token in this request, even if the token has expired",
        status=204,
        body_bytes_max=BODY_BYTES_MAX,
        public=True,
        also=(401, 403, 409),
    )
    async def log_out(self, request: Request, body: RefreshBody | None) -> Answer:
        presented = self._presented_tokens(request, body)
        removed = (*NO_STORE, *self.authentication.cookies.signed_out(request.scope))
        try:
            self._require_own_browser(request, presented)
            await self.end_session(
                _unknown_actor(request),
                access_token=presented.access_token,
                refresh_token=presented.refresh_token,
            )
        except Unauthenticated:
            # Invalid cookies are removed as well, because a browser has no other means to get rid of them.
            if not presented.by_cookie:
                raise
        return Answer(status=204, headers=removed)

    def _presented_tokens(self, request: Request, body: RefreshBody | None) -> PresentedTokens:
        """The tokens of the request: a refresh token in the body takes precedence over headers and cookies."""
        if body is not None and not isinstance(body.refresh_token, UnsetType):
            return PresentedTokens(None, body.refresh_token, by_cookie=False)
        return self.authentication.presented_tokens(request.scope)

    def _require_own_browser(self, request: Request, presented: PresentedTokens) -> None:
        if presented.by_cookie:
            session_id = self.authentication.session_id_of(presented)
            self.authentication.guard.require_own_browser(request.scope, session_id)


class GoogleController(Controller, path="/v1/auth/google"):
    """Signing in with Google. `provider` and `sign_in` are None if it is not configured."""

    provider: IdentityProvider | None
    sign_in: SignInWithProvider | None
    authentication: Authentication
    settings: Settings

    @operation(
        "GET",
        "/login",
        summary="Redirect the browser to Google to sign in; 404 if sign-in with Google is not configured",
        status=302,
        public=True,
        also=(404,),
    )
    async def login(self, request: Request) -> Answer:
        if self.provider is None:
            raise NotFound(NOT_SET_UP)
        try:
            start = await self.provider.start()
        except SignInFailed as failed:
            return self._failed(request, failed.failure, str(failed))
        ticket = self.authentication.cookies.ticket(request.scope, start.ticket, TICKET_SECONDS)
        return _redirected(start.url, ticket)

    # The provider may send parameters that are unknown here.
    @operation(
        "GET",
        "/callback",
        summary="Complete the sign-in with Google: set cookies and redirect to UI_URL with `success=true` or"
        " `error=code`",
        status=302,
        public=True,
        free_query=True,
        also=(404,),
    )
    async def callback(self, request: Request) -> Answer:
        if self.sign_in is None:
            raise NotFound(NOT_SET_UP)
        given = _parameters(request.query_string)
        if "error" in given:
            is_no = given["error"] == SignInFailure.DENIED
            failure = SignInFailure.DENIED if is_no else SignInFailure.PROVIDER_REFUSED
            return self._failed(request, failure, "the provider reported an error")
        ticket = self.authentication.cookies.read(request.scope, TICKET)
        state, code = given.get("state", ""), given.get("code", "")
        try:
            _, tokens = await self.sign_in(_unknown_actor(request), ticket=ticket, state=state, code=code)
        except SignInFailed as failed:
            return self._failed(request, failed.failure, str(failed))
        except TandemError as error:
            return self._failed(request, error.code, error.message)
        cookies = self.authentication.session_cookies(request.scope, tokens)
        return self._back(request, ("success", "true"), cookies)

    def _failed(self, request: Request, code: str, reason: str) -> Answer:
        logger.info("Sign-in failed: {} ({}).", str(code), reason)
        return self._back(request, ("error", str(code)))

    def _back(self, request: Request, outcome: tuple[str, str], cookies: RawHeaders = ()) -> Answer:
        """Redirects to UI_URL, which only the settings determine, and removes the ticket, which is used up."""
        address = self.settings.http.ui_address
        joint = "&" if "?" in address else "?"
        used = self.authentication.cookies.ticket(request.scope, "", 0)
        return _redirected(f"{address}{joint}{urlencode([outcome])}", (*cookies, *used))


def _unknown_actor(request: Request) -> Actor:
    """The system actor, because the user is not known before the sign-in."""
    return system_actor(request.request_id)


def _refreshed_view(found: User, tokens: TokenPair, *, with_tokens: bool) -> RefreshedView:
    view = RefreshedView(
        token_type=BEARER, expires_in_seconds=tokens.expires_in_seconds, user=whole_user_view(found)
    )
    if with_tokens:
        view.access_token, view.refresh_token = tokens.access_token, tokens.refresh_token
    return view


def _redirected(address: str, cookies: RawHeaders) -> Answer:
    return Answer(status=302, headers=((b"location", address.encode("ascii")), *NO_STORE, *cookies))


def _parameters(raw: bytes) -> dict[str, str]:
    """The parameters that the provider sent; malformed and repeated ones count as missing."""
    if len(raw) > QUERY_LENGTH_MAX:
        return {}
    try:
        values = parse_qs(raw.decode("ascii"), errors="strict", max_num_fields=PARAMETERS_MAX)
    except ValueError:
        return {}
    return {name: given[0] for name, given in values.items() if len(given) == 1}


SESSIONS = Resource(
    controllers=(SessionController, GoogleController), collection="sessions", view=SessionEntryView
)
