"""What comes in and goes out at /v1/auth."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from entrypoints.http.projects.schemas import Email, UserName
from entrypoints.http.views import UserView

RefreshTokenText = Annotated[str, Meta(max_length=200)]


class DevTokenBody(Struct, rename="camel", forbid_unknown_fields=True):
    """Who wants to sign in."""

    email: Email
    name: UserName | None = None


class RefreshBody(Struct, rename="camel", forbid_unknown_fields=True):
    """The present refresh token; absent where the browser sends it as a cookie."""

    refresh_token: RefreshTokenText | UnsetType = UNSET


class SignedInView(Struct, rename="camel"):
    """Tokens and whom they speak for."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in_seconds: int
    user: UserView


class RefreshedView(Struct, rename="camel"):
    """The same; without the tokens where they went into cookies, out of reach of scripts."""

    token_type: str
    expires_in_seconds: int
    user: UserView
    access_token: str | UnsetType = UNSET
    refresh_token: str | UnsetType = UNSET
