"""/v1/auth/google: signing in with Google. Whatever goes wrong sends the browser back with a code, changing nothing."""

from urllib.parse import parse_qs, urlencode

from litestar import Controller, get
from litestar.di import NamedDependency
from loguru import logger

from application.actor import system_actor
from application.ports.sign_in import SignInFailed, SignInFailure
from domain.errors import NotFound, TandemError
from entrypoints.http.protocol.answers import NO_STORE, Answer, HttpRequest, RawHeaders
from entrypoints.http.protocol.operation import documented
from entrypoints.http.protocol.request import exchange_of
from entrypoints.http.queries import require_no_query
from entrypoints.http.security.cookies import TICKET
from entrypoints.http.session_desk import SessionDesk

TICKET_SECONDS = 10 * 60
QUERY_LENGTH_MAX = 16 * 1024
PARAMETERS_MAX = 50
NOT_SET_UP = (
    "Sign-in with Google is not set up here: set GOOGLE_OAUTH_CLIENT_ID and GOOGLE_OAUTH_CLIENT_SECRET."
)


class GoogleController(Controller):
    """There and back again."""

    path = "/v1/auth/google"

    @get(
        "/login",
        status_code=200,
        opt=documented(
            "Send the browser to Google to sign in; 404 where that is not set up",
            status=302,
            is_public=True,
            also=(404,),
        ),
    )
    async def login(self, request: HttpRequest, sessions: NamedDependency[SessionDesk]) -> Answer:
        if sessions.provider is None:
            raise NotFound(NOT_SET_UP)
        require_no_query(request)
        try:
            start = await sessions.provider.start()
        except SignInFailed as failed:
            return _failed(request, sessions, failed.failure, str(failed))
        ticket = sessions.authentication.cookies.ticket(request.scope, start.ticket, TICKET_SECONDS)
        return _redirected(start.url, ticket)

    @get(
        "/callback",
        status_code=200,
        opt=documented(
            "Where Google sends the browser back: sets cookies, goes on to UI_URL with `success=true` or `error=code`",
            status=302,
            is_public=True,
            also=(404,),
        ),
    )
    async def callback(self, request: HttpRequest, sessions: NamedDependency[SessionDesk]) -> Answer:
        if sessions.provider is None or sessions.sign_in_with_provider is None:
            raise NotFound(NOT_SET_UP)
        given = _parameters(request.scope["query_string"])
        if "error" in given:
            is_no = given["error"] == SignInFailure.DENIED
            failure = SignInFailure.DENIED if is_no else SignInFailure.PROVIDER_REFUSED
            return _failed(request, sessions, failure, "the provider says so")
        actor = system_actor(exchange_of(request.scope).request_id)
        ticket = sessions.authentication.cookies.read(request.scope, TICKET)
        try:
            _, tokens = await sessions.sign_in_with_provider(
                actor, ticket=ticket, state=given.get("state", ""), code=given.get("code", "")
            )
        except SignInFailed as failed:
            return _failed(request, sessions, failed.failure, str(failed))
        except TandemError as error:
            return _failed(request, sessions, error.code, error.message)
        cookies = sessions.cookies_of(request.scope, tokens)
        return _back(request, sessions, ("success", "true"), cookies)


def _failed(request: HttpRequest, sessions: SessionDesk, code: str, reason: str) -> Answer:
    logger.info("Nobody was signed in: {} ({}).", str(code), reason)
    return _back(request, sessions, ("error", str(code)))


def _back(
    request: HttpRequest, sessions: SessionDesk, outcome: tuple[str, str], cookies: RawHeaders = ()
) -> Answer:
    """To UI_URL, which only a setting names. The ticket has served, whatever came of it."""
    address = sessions.settings.http.ui_address
    joint = "&" if "?" in address else "?"
    used = sessions.authentication.cookies.ticket(request.scope, "", 0)
    return _redirected(f"{address}{joint}{urlencode([outcome])}", (*cookies, *used))


def _redirected(address: str, cookies: RawHeaders) -> Answer:
    return Answer(status=302, headers=((b"location", address.encode("ascii")), *NO_STORE, *cookies))


def _parameters(raw: bytes) -> dict[str, str]:
    """What the provider sent back; it may send more than we know of, and whatever is malformed counts as missing."""
    if len(raw) > QUERY_LENGTH_MAX:
        return {}
    try:
        values = parse_qs(raw.decode("ascii"), errors="strict", max_num_fields=PARAMETERS_MAX)
    except ValueError:
        return {}
    return {name: given[0] for name, given in values.items() if len(given) == 1}
