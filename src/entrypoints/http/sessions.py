"""/v1/auth: signing in."""

from litestar import Controller, post
from litestar.di import NamedDependency

from application.actor import system_actor
from domain.errors import NotFound
from entrypoints.http.bodies import DevTokenBody
from entrypoints.http.body_reading import read_body
from entrypoints.http.desks import SessionDesk
from entrypoints.http.documentation import documented
from entrypoints.http.exchange import exchange_of
from entrypoints.http.queries import require_no_query
from entrypoints.http.rendering import NO_STORE, Answer, HttpRequest, made_view, view_answer, view_of
from entrypoints.http.views import SignedInView


class SessionController(Controller):
    """Tokens."""

    path = "/v1/auth"

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
        actor = system_actor(exchange_of(request.scope).request_id)
        user, tokens = await sessions.sign_in(actor, body.email, body.name)
        view = made_view(tokens, SignedInView, token_type="Bearer", user=view_of(user))  # noqa: S106 - its kind
        return view_answer(view, headers=NO_STORE)
