"""Users: profiles, grants."""

from dataclasses import dataclass

from application.access import require, without_teams
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.unit_of_work import Begin
from domain.entity import Stamp
from domain.errors import Conflict, NotFound
from domain.permissions import Grant, may_change_user, may_see_contact
from domain.user import User, UserChanges, normal_email


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDetails:
    """A user as somebody else, an administrator or he himself sees him: with his address and grants, or without."""

    user: User
    shows_contact: bool

    @property
    def id(self) -> str:
        """The user's id."""
        return self.user.id

    @property
    def version(self) -> int:
        """The user's version."""
        return self.user.version


def details_of_user(actor: Actor, user: User) -> UserDetails:
    """The user as the actor sees him."""
    return UserDetails(user=user, shows_contact=may_see_contact(without_teams(actor), user))


@dataclass(frozen=True, slots=True)
class GetUser:
    """One user, also as he was."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> UserDetails:
        users = self.begin(actor).users
        return details_of_user(
            actor, await (users.get(id) if version is None else users.at_version(id, version))
        )


@dataclass(frozen=True, slots=True)
class SearchUsers:
    """Users by words of their names, or one by his whole address."""

    begin: Begin

    async def __call__(self, actor: Actor, text: str, page: PageRequest) -> Page[UserDetails]:
        found = await self.begin(actor).users.search(text, page)
        return found.showing(lambda user: details_of_user(actor, user))


@dataclass(frozen=True, slots=True)
class EditUser:
    """Changes a profile. `expected_version` None means whichever is current."""

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, id: str, changes: UserChanges, *, expected_version: int | None
    ) -> UserDetails:
        work = self.begin(actor)
        user = await work.users.get(id)
        require(may_change_user(without_teams(actor), user))
        user.require_version(expected_version)
        edited = user.edit(Stamp(self.clock.now(), actor.id), changes)
        work.users.save(edited)
        await work.commit()
        return details_of_user(actor, edited)


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
