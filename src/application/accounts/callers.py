"""Who makes a request: the account behind an access token or an API token, with the rights that it has now."""

from dataclasses import dataclass

from application.actor import SYSTEM_ID, Actor, system_actor
from application.ports.api_tokens import ApiTokenTexts
from application.ports.tokens import Identity
from application.use_case import TimedUseCase, UseCase
from domain.api_token import ApiToken, Scope
from domain.entity import Stamp
from domain.errors import Forbidden, Unauthenticated


class ReadCaller(UseCase):
    """The user of a valid access token. Global roles that were revoked since it was issued count no more.

    Only tokens that claim a grant cost a read. The system has no account: its tokens are made on the machine that holds
    the keys.
    """

    async def __call__(self, identity: Identity, *, request_id: str) -> Actor:
        grants = identity.grants
        if grants and identity.user_id != SYSTEM_ID:
            users = self.begin(system_actor(request_id)).users
            user = await users.find(identity.user_id)
            grants = grants & user.present_grants if user is not None else frozenset()
        return Actor(id=identity.user_id, grants=grants, request_id=request_id)


@dataclass(frozen=True, slots=True)
class ReadApiCaller(TimedUseCase):
    """The owner of an API token. Both are read for each request, so deleting either takes effect at once."""

    texts: ApiTokenTexts

    async def __call__(self, text: str, *, scope: Scope, request_id: str) -> tuple[Actor, ApiToken]:
        """Raises Unauthenticated for a token that is not valid, Forbidden for one without the scope."""
        shown = self.texts.read(text)
        work = self.begin(system_actor(request_id))
        token = await work.api_tokens.find(shown.id)
        if token is None:
            raise Unauthenticated("This is not an API token of this installation.")
        token.require_valid(shown.hash, self.clock.now())
        owner = await work.users.find(token.user_id)
        if owner is None or owner.is_deleted:
            raise Unauthenticated("The account of this API token no longer exists.")
        if not token.allows(scope):
            raise Forbidden(f"This API token does not have the scope `{scope}`, which this request needs.")
        grants = owner.present_grants if token.allows(Scope.ADMIN) else frozenset[str]()
        return Actor(id=owner.id, grants=grants, request_id=request_id, api_token_id=token.id), token


class NoteTokenUse(TimedUseCase):
    """Records the time of the last use of an API token, unless it was recorded a moment ago."""

    async def __call__(self, actor: Actor, token: ApiToken) -> None:
        """Raises Conflict if another request records a use at the same time."""
        stamp = Stamp(self.clock.now(), token.user_id)
        if token.used(stamp) is token:
            return
        work = self.begin(actor)
        found = await work.api_tokens.find(token.id)
        if found is not None and not found.is_deleted:
            work.api_tokens.save(found.used(stamp))
            await work.commit()


@dataclass(frozen=True, slots=True)
class Callers:
    """Everything that tells who makes a request."""

    by_access_token: ReadCaller
    by_api_token: ReadApiCaller
    note_use: NoteTokenUse
