"""/v1/users/me/tokens: API tokens for scripts."""

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from application.accounts.api_tokens import (
    CreateApiToken,
    DeleteApiToken,
    GetApiToken,
    IssuedApiToken,
    ListApiTokens,
)
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from domain import api_token
from domain.api_token import ApiToken, Scope
from entrypoints.http.protocol.answers import made_view, view_maker
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import NAMING, Body, EntityView, Id, Instant, InstantText, ListQuery

DAYS_DEFAULT = 90
"""How long a token lasts if the request does not say."""

ApiTokenName = Annotated[
    str, Meta(min_length=1, max_length=api_token.NAME_LENGTH_MAX, description=NAMING, examples=["backup"])
]
Scopes = Annotated[
    tuple[Scope, ...],
    Meta(
        min_length=1,
        max_length=len(Scope),
        description="`read`: safe methods; `write`: all methods; `admin`, beside one of them: also the rights that"
        " rest on a global role. A token never has more rights than its owner has at the time.",
    ),
]
End = Annotated[
    Instant | None, Meta(description=f"Absent: in {DAYS_DEFAULT} days; null: the token does not expire.")
]


class ApiTokenBody(Body):
    """A new API token."""

    name: ApiTokenName
    scopes: Scopes
    expires_at: End | UnsetType = UNSET


class ApiTokenView(EntityView):
    """An API token, without its text. `lastUsedAt` is exact to a minute."""

    user_id: Id
    name: str
    scopes: tuple[str, ...]
    expires_at: InstantText | None
    last_used_at: InstantText | None


class IssuedApiTokenView(ApiTokenView):
    """A new API token. `token` is shown only this once."""

    token: str


class ApiTokenQuery(ListQuery):
    """A page of API tokens, newest first."""


class ApiTokenController(Controller, path="/v1/users/me/tokens", collection="api_tokens", stored=False):
    """The API tokens of the caller."""

    get: GetApiToken
    create_token: CreateApiToken
    list_tokens: ListApiTokens
    delete_token: DeleteApiToken
    clock: Clock

    # A repeated request cannot get the token again, since only its hash is stored.
    @operation(
        "POST",
        summary="Create an API token, which only this answer shows; not with an API token",
        status=201,
        view=IssuedApiTokenView,
        also=(404, 409),
    )
    async def create(self, actor: Actor, body: ApiTokenBody) -> IssuedApiToken:
        end = body.expires_at
        expires_at = usual_end(self.clock.now()) if isinstance(end, UnsetType) else end
        return await self.create_token(actor, body.name, body.scopes, expires_at=expires_at)

    @operation("GET", summary="List your API tokens, newest first", page_of=ApiTokenView, query=ApiTokenQuery)
    async def list_all(self, actor: Actor, page: PageRequest) -> Page[ApiToken]:
        return await self.list_tokens(actor, page)

    @operation("GET", "/{id}", summary="Read one of your API tokens", view=ApiTokenView)
    async def read(self, actor: Actor, id: str) -> ApiToken:
        return await self.get(actor, id)

    @operation("DELETE", "/{id}", summary="Delete an API token; it stops at once", status=204)
    async def remove(self, actor: Actor, id: str, expected: int | None) -> ApiToken:
        return await self.delete_token(actor, id, expected_version=expected)


def usual_end(now: datetime) -> datetime:
    """When a token ends if nobody said."""
    return now + timedelta(days=DAYS_DEFAULT)


def issued_view(issued: IssuedApiToken) -> IssuedApiTokenView:
    """The view of a new token, with its text."""
    return made_view(issued.token, IssuedApiTokenView, token=issued.text)


API_TOKENS = Resource(
    controllers=(ApiTokenController,),
    collection="api_tokens",
    view=ApiTokenView,
    views={ApiToken: view_maker(ApiToken, ApiTokenView), IssuedApiToken: issued_view},
)
