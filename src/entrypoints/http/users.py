"""/v1/users."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from application.accounts.users import CreateAccount, EditUser, GetUser, SearchUsers, UserDetails
from application.actor import Actor
from application.paging import Page, PageRequest
from domain import user
from domain.errors import Violation
from domain.user import User
from entrypoints.http.protocol.answers import view_maker
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import (
    NAMING,
    TEXT_LENGTH_MAX,
    Body,
    EntityView,
    ListQuery,
    searched,
    set_fields,
    word_violations,
)

Email = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=user.EMAIL_LENGTH_MAX,
        examples=["ada@example.org"],
        extra_json_schema={"format": "email"},
    ),
]
UserName = Annotated[
    str, Meta(min_length=1, max_length=user.NAME_LENGTH_MAX, description=NAMING, examples=["Ada"])
]


TimeZone = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=user.TIMEZONE_LENGTH_MAX,
        description="An IANA time zone. It decides which day it is for the user. Null resets it to UTC.",
        examples=["Europe/Berlin"],
    ),
]


class UserBody(Body):
    """A new account. Without a name, it is the part of the address before the @."""

    email: Email
    name: UserName | UnsetType = UNSET
    is_administrator: bool = False


class UserPatch(Body):
    """Changes to a profile (merge patch)."""

    name: UserName | UnsetType = UNSET
    timezone: TimeZone | UnsetType | None = UNSET


class UserView(EntityView):
    """A user. Only the user and administrators see `email` and `grants`; for others they are null."""

    email: str | None
    name: str
    grants: tuple[str, ...] | None
    timezone: str


class UserQuery(ListQuery):
    """Search text of users."""

    usual_order = "createdAt"

    search: (
        Annotated[
            str,
            Meta(
                max_length=TEXT_LENGTH_MAX,
                description="Words in the name, or one complete e-mail address. An empty or blank text finds all "
                "users; any other text without letters or digits is rejected.",
            ),
        ]
        | None
    ) = None

    def violations(self) -> Iterator[Violation]:
        yield from word_violations("search", self.search)


whole_user_view = view_maker(User, UserView)
"""The view of a user with contact data, for that user and administrators."""


def _user_view(details: UserDetails) -> UserView:
    view = whole_user_view(details.user)
    if not details.shows_contact:
        view.email = view.grants = None
    return view


class UserController(Controller, path="/v1/users", collection="users"):
    """Accounts and profiles."""

    get: GetUser
    search_users: SearchUsers
    edit_user: EditUser
    create_account: CreateAccount

    @operation(
        "POST",
        summary="Create an account, for administrators of installations without an identity provider",
        status=201,
        view=UserView,
        repeatable=True,
        stored=False,
        also=(403, 409),
    )
    async def create(self, actor: Actor, body: UserBody) -> UserDetails:
        name = None if isinstance(body.name, UnsetType) else body.name
        return await self.create_account(actor, body.email, name, is_administrator=body.is_administrator)

    @operation(
        "GET",
        summary="Search users by words in their names, or by a complete e-mail address",
        page_of=UserView,
        stored=False,
    )
    async def search(self, actor: Actor, query: UserQuery, page: PageRequest) -> Page[UserDetails]:
        return await self.search_users(actor, searched(query.search) or "", page)

    @operation("GET", "/me", summary="Read your own profile", view=UserView, stored=False, also=(404,))
    async def me(self, actor: Actor) -> UserDetails:
        return await self.get(actor, actor.id)

    @operation("GET", "/{id}", summary="Read a user", view=UserView, stored=False)
    async def read(self, actor: Actor, id: str) -> UserDetails:
        return await self.get(actor, id)

    @operation(
        "PATCH",
        "/{id}",
        summary="Change a profile",
        view=UserView,
        repeatable=True,
        stored=False,
        also=(403,),
    )
    async def change(self, actor: Actor, id: str, body: UserPatch, expected: int | None) -> UserDetails:
        return await self.edit_user(actor, id, set_fields(body), expected_version=expected)


USERS = Resource(
    controllers=(UserController,),
    collection="users",
    view=UserView,
    views={User: whole_user_view, UserDetails: _user_view},
    private=frozenset({"email", "grants"}),
)
