"""/v1/auth: signing in without proof, refreshing, signing out."""

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.types import EmptyType
from msgspec import UNSET

from application.actor import system_actor
from application.ports.tokens import TokenPair
from domain.errors import NotFound, Unauthenticated
from domain.user import User, normal_email
from entrypoints.http.protocol.answers import NO_STORE, Answer, HttpRequest, view_answer, view_of
from entrypoints.http.protocol.input import read_body
from entrypoints.http.protocol.operation import documented
from entrypoints.http.protocol.request import exchange_of
from entrypoints.http.queries import require_no_query
from entrypoints.http.security.authentication import Brought
from entrypoints.http.session_desk import SessionDesk
from entrypoints.http.session_shapes import DevTokenBody, RefreshBody, RefreshedView, SignedInView
from entrypoints.http.views import UserView

BEARER = "Bearer"
BODY_BYTES_MAX = 16 * 1024


class SessionController(Controller):
    """Tokens."""

    path = "/v1/auth"
    # Nobody has to be signed in to send these, so nobody may make them long.
    request_max_body_size: int | EmptyType | None = BODY_BYTES_MAX

    @post(
        "/dev/token",
        status_code=200,
        opt=documented(
            "Sign in without proof; only in development and test, 404 otherwise",
            answer=SignedInView,
            body=DevTokenBody,
            is_public=True,
            also=(404, 409),
        ),
    )
    async def dev_token(self, request: HttpRequest, sessions: NamedDependency[SessionDesk]) -> Answer:
        if sessions.settings.is_production:
            raise NotFound("There is nothing at this address.")
        require_no_query(request)
        body = await read_body(request, DevTokenBody)
        sessions.count(normal_email(body.email))
        actor = system_actor(exchange_of(request.scope).request_id)
        user, tokens = await sessions.sign_in(actor, body.email, body.name)
        view = SignedInView(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            token_type=BEARER,
            expires_in_seconds=tokens.expires_in_seconds,
            user=_user_view(user),
        )
        return view_answer(view, headers=NO_STORE)

    @post(
        "/refresh",
        status_code=200,
        opt=documented(
            "Exchange the present refresh token, of body or cookie, for new tokens; an older one ends the session",
            answer=RefreshedView,
            body=RefreshBody,
            needs_body=False,
            is_public=True,
            also=(401, 403, 409),
        ),
    )
    async def refresh(self, request: HttpRequest, sessions: NamedDependency[SessionDesk]) -> Answer:
        require_no_query(request)
        brought = await _brought(request, sessions)
        if brought.refresh_token is None:
            raise Unauthenticated("Send the refresh token, in the body as `refreshToken` or as a cookie.")
        _require_own_browser(request, sessions, brought)
        actor = system_actor(exchange_of(request.scope).request_id)
        user, tokens = await sessions.refresh(actor, brought.refresh_token)
        if brought.by_cookie:
            return _kept_in_cookies(request, sessions, user, tokens)
        view = RefreshedView(
            token_type=BEARER,
            expires_in_seconds=tokens.expires_in_seconds,
            user=_user_view(user),
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
        )
        return view_answer(view, headers=NO_STORE)

    @post(
        "/logout",
        status_code=200,
        opt=documented(
            "End the session of the token that comes with this request, expired or not",
            status=204,
            body=RefreshBody,
            needs_body=False,
            is_public=True,
            also=(401, 403, 409),
        ),
    )
    async def log_out(self, request: HttpRequest, sessions: NamedDependency[SessionDesk]) -> Answer:
        require_no_query(request)
        brought = await _brought(request, sessions)
        gone = (*NO_STORE, *sessions.authentication.cookies.signed_out(request.scope))
        actor = system_actor(exchange_of(request.scope).request_id)
        try:
            _require_own_browser(request, sessions, brought)
            await sessions.end(actor, access_token=brought.access_token, refresh_token=brought.refresh_token)
        except Unauthenticated:
            # Cookies that open nothing are taken away all the same; nothing else could rid a browser of them.
            if not brought.by_cookie:
                raise
        return Answer(status=204, headers=gone)


async def _brought(request: HttpRequest, sessions: SessionDesk) -> Brought:
    """The tokens to work with: a refresh token in the body wins over everything a browser adds on its own."""
    body = await read_body(request, RefreshBody) if await request.body() else RefreshBody()
    if body.refresh_token is not UNSET:
        return Brought(None, body.refresh_token, by_cookie=False)
    return sessions.authentication.brought(request.scope)


def _require_own_browser(request: HttpRequest, sessions: SessionDesk, brought: Brought) -> None:
    if brought.by_cookie:
        session_id = sessions.authentication.session_brought(brought)
        sessions.authentication.guard.require_own_browser(request.scope, session_id)


def _kept_in_cookies(request: HttpRequest, sessions: SessionDesk, user: User, tokens: TokenPair) -> Answer:
    view = RefreshedView(
        token_type=BEARER, expires_in_seconds=tokens.expires_in_seconds, user=_user_view(user)
    )
    return view_answer(view, headers=(*NO_STORE, *sessions.cookies_of(request.scope, tokens)))


def _user_view(user: User) -> UserView:
    view = view_of(user)
    if not isinstance(view, UserView):
        raise TypeError("a user is shown as a user")
    return view
