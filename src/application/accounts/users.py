"""Users: profiles and grants."""

from dataclasses import dataclass

from application.access import require, without_teams
from application.actor import Actor
from application.paging import Page, PageRequest
from application.use_case import TimedUseCase, UseCase
from domain.errors import Conflict, NotFound
from domain.permissions import Grant, may_change_user, may_see_contact
from domain.user import User, UserChanges, normal_email


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDetails:
    """A user as the actor may see them: with address and grants, or without."""

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
    """The user as the actor may see them."""
    return UserDetails(user=user, shows_contact=may_see_contact(without_teams(actor), user))


class GetUser(UseCase):
    """One user, at present or at an earlier version."""

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> UserDetails:
        users = self.begin(actor).users
        return details_of_user(
            actor, await (users.get(id) if version is None else users.at_version(id, version))
        )


class SearchUsers(UseCase):
    """Users by words of their names, or one by their whole address."""

    async def __call__(self, actor: Actor, text: str, page: PageRequest) -> Page[UserDetails]:
        found = await self.begin(actor).users.search(text, page)
        return found.showing(lambda user: details_of_user(actor, user))


class EditUser(TimedUseCase):
    """Changes a profile. `expected_version` None accepts any version."""

    async def __call__(
        self, actor: Actor, id: str, changes: UserChanges, *, expected_version: int | None
    ) -> UserDetails:
        work = self.begin(actor)
        user = await work.users.get(id)
        require(may_change_user(without_teams(actor), user))
        user.require_version(expected_version)
        edited = user.edit(self.stamp(actor), changes)
        work.users.save(edited)
        await work.commit()
        return details_of_user(actor, edited)


class GrantAdministration(TimedUseCase):
    """Makes the user with this address an administrator; on the command line only."""

    async def __call__(self, actor: Actor, email: str) -> User:
        work = self.begin(actor)
        user = await work.users.with_email(normal_email(email))
        if user is None:
            raise NotFound("No user has this e-mail address.")
        if Grant.ADMIN in user.grants:
            raise Conflict("This user is already an administrator.")
        granted = user.grant(self.stamp(actor), Grant.ADMIN)
        work.users.save(granted)
        await work.commit()
        return granted
