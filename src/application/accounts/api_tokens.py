"""The API tokens of a person. Nobody else sees them, and no API token can create another one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from application.access import require, require_visible
from application.accounts.users import no_account
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.api_tokens import ApiTokenTexts
from application.ports.identifiers import Identifiers
from application.retrying import retry_conflicts
from application.use_case import TimedUseCase, UseCase
from domain.api_token import TOKENS_MAX, ApiToken, Scope
from domain.errors import Conflict, VersionConflict
from domain.user import User, normal_email


@dataclass(frozen=True, slots=True)
class IssuedApiToken:
    """A new API token and its text, which cannot be read again."""

    token: ApiToken
    text: str

    @property
    def id(self) -> str:
        """The token's id."""
        return self.token.id

    @property
    def version(self) -> int:
        """The token's version."""
        return self.token.version


@dataclass(frozen=True, slots=True)
class CreateApiToken(TimedUseCase):
    """Creates an API token for the actor.

    Raises Forbidden for an API token as the caller: a stolen one could otherwise outlive its deletion. Raises Conflict
    beyond TOKENS_MAX tokens; concurrent creations are not counted.
    """

    identifiers: Identifiers
    texts: ApiTokenTexts

    async def __call__(
        self, actor: Actor, name: str, scopes: Iterable[Scope], *, expires_at: datetime | None
    ) -> IssuedApiToken:
        require(
            actor.api_token_id is None,
            "An API token cannot create another one. Sign in, or let an operator type `tandem admin token`.",
        )
        work = self.begin(actor)
        owner = await work.users.get(actor.id)
        owner.require_live()
        made = self.texts.fresh(self.identifiers.fresh())
        token = ApiToken.create(
            made.id, self.stamp(actor), name=name, scopes=scopes, token_hash=made.hash, expires_at=expires_at
        )
        if await work.api_tokens.count_of_user(actor.id) >= TOKENS_MAX:
            raise Conflict(f"A person can have at most {TOKENS_MAX} API tokens; delete one first.")
        work.users.require_unchanged(owner)
        work.api_tokens.save(token)
        await work.commit()
        return IssuedApiToken(token, made.text)


@dataclass(frozen=True, slots=True)
class IssueApiToken(UseCase):
    """Creates an API token for an existing account; only on the machine that holds the keys."""

    create: CreateApiToken

    async def __call__(
        self, actor: Actor, email: str, name: str, scopes: Iterable[Scope], *, expires_at: datetime | None
    ) -> tuple[User, IssuedApiToken]:
        """The account and its token. Raises NotFound if no account has the address."""
        user = await self.begin(actor).users.with_email(normal_email(email))
        if user is None:
            raise no_account(normal_email(email))
        owner = Actor(id=user.id, grants=frozenset(), request_id=actor.request_id)
        return user, await self.create(owner, name, scopes, expires_at=expires_at)


class ListApiTokens(UseCase):
    """The API tokens of the actor, also expired ones."""

    async def __call__(self, actor: Actor, page: PageRequest) -> Page[ApiToken]:
        return await self.begin(actor).api_tokens.page_of_user(actor.id, page)


class GetApiToken(UseCase):
    """One API token of the actor. Raises NotFound for a deleted one, and for those of other people."""

    async def __call__(self, actor: Actor, id: str) -> ApiToken:
        token = await self.begin(actor).api_tokens.get(id)
        require_visible(token.user_id == actor.id and not token.is_deleted)
        return token


def _named_version(conflict: VersionConflict, *arguments: object, expected_version: int | None) -> bool:
    return expected_version is not None and conflict.concerns("api_tokens", str(arguments[-1]))


class DeleteApiToken(TimedUseCase):
    """Deletes an API token of the actor; it stops at once.

    `expected_version` None accepts any version, also when a use is recorded at the same time.
    """

    @retry_conflicts(unless=_named_version)
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> ApiToken:
        work = self.begin(actor)
        token = await work.api_tokens.get(id)
        require_visible(token.user_id == actor.id and not token.is_deleted)
        token.require_version(expected_version)
        deleted = token.delete(self.stamp(actor))
        work.api_tokens.save(deleted)
        await work.commit()
        return deleted
