"""Users: sign in for development, profiles, grants."""

from dataclasses import dataclass

from application.actor import Actor
from application.authorization import require
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.tokens import Identity, TokenIssuer, TokenPair
from application.ports.unit_of_work import Begin
from domain.entity import Stamp, derived_id
from domain.errors import AlreadyExists, Conflict, NotFound, VersionConflict
from domain.permissions import Grant, may_change_user
from domain.user import User, UserChanges, normal_email

FIRST_USER_ID = derived_id("users", "first")
RACES_MAX = 5


@dataclass(frozen=True, slots=True)
class SignInByEmail:
    """Finds or makes the user with an address, and answers tokens.

    The first user of an empty installation administers it.

    For development and for the command line: it asks for no proof.
    """

    begin: Begin
    clock: Clock
    identifiers: Identifiers
    tokens: TokenIssuer

    async def __call__(self, actor: Actor, email: str, name: str | None = None) -> tuple[User, TokenPair]:
        address = normal_email(email)
        user = await self._found_or_made(actor, address, name)
        return user, self.tokens.issue(Identity(user.id, frozenset(user.grants)))

    async def _found_or_made(self, actor: Actor, address: str, name: str | None) -> User:
        for _ in range(RACES_MAX):
            work = self.begin(actor)
            user = await work.users.with_email(address)
            if user is not None:
                return user
            is_first = await work.users.is_empty()
            # All who come first at once want this one id, so only one of them becomes the administrator.
            id = FIRST_USER_ID if is_first else self.identifiers.fresh()
            grants = (str(Grant.ADMIN),) if is_first else ()
            new_name = name or address.partition("@")[0]
            user = User.create(id, Stamp(self.clock.now(), id), email=address, name=new_name, grants=grants)
            work.users.save(user)
            try:
                await work.commit()
            except (VersionConflict, AlreadyExists):
                continue
            return user
        raise Conflict("Others are signing in at the same moment; try again.")


@dataclass(frozen=True, slots=True)
class GetUser:
    """One user, also as he was."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> User:
        users = self.begin(actor).users
        return await (users.get(id) if version is None else users.at_version(id, version))


@dataclass(frozen=True, slots=True)
class SearchUsers:
    """Users by name or address."""

    begin: Begin

    async def __call__(self, actor: Actor, text: str, page: PageRequest) -> Page[User]:
        return await self.begin(actor).users.search(text, page)


@dataclass(frozen=True, slots=True)
class EditUser:
    """Changes a profile. `expected_version` None means whichever is current."""

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, id: str, changes: UserChanges, *, expected_version: int | None
    ) -> User:
        work = self.begin(actor)
        user = await work.users.get(id)
        require(may_change_user(actor.id, actor.grants, user))
        user.require_version(expected_version)
        edited = user.edit(Stamp(self.clock.now(), actor.id), changes)
        work.users.save(edited)
        await work.commit()
        return edited


@dataclass(frozen=True, slots=True)
class GrantAdministration:
    """Makes the user with this address an administrator; from the command line only."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, email: str) -> User:
        work = self.begin(actor)
        user = await work.users.with_email(normal_email(email))
        if user is None:
            raise NotFound("Nobody has this address.")
        if Grant.ADMIN in user.grants:
            raise Conflict("This user is an administrator already.")
        granted = user.grant(Stamp(self.clock.now(), actor.id), Grant.ADMIN)
        work.users.save(granted)
        await work.commit()
        return granted
