"""Users: profiles and grants."""

from dataclasses import dataclass

from application.access import require, require_admin, without_teams
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.identifiers import Identifiers
from application.use_case import TimedUseCase, UseCase
from domain.errors import AlreadyExists, Conflict, NotFound
from domain.permissions import Grant, may_change_user, may_see_contact
from domain.user import FIRST_USER_ID, User, UserChanges, name_in, normal_email

IS_ADMINISTRATOR = "This user is already an administrator."


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


def no_account(address: str) -> NotFound:
    """The error for an address without an account."""
    return NotFound(
        f"There is no account with the address {address}. Correct it, or let its owner sign in once; for an"
        f" administrator, type: tandem admin create {address}"
    )


@dataclass(frozen=True, slots=True)
class CreateAccount(TimedUseCase):
    """Creates an account without a sign-in; administrators only. Raises AlreadyExists if the address has one."""

    identifiers: Identifiers

    async def __call__(
        self, actor: Actor, email: str, name: str | None = None, *, is_administrator: bool = False
    ) -> UserDetails:
        require_admin(actor)
        work = self.begin(actor)
        address = normal_email(email)
        if await work.users.with_email(address) is not None:
            raise AlreadyExists(f"The account {address} exists already.", fields=["email"])
        # The first user's id is taken once, so whoever signs in at the same time does not become the administrator.
        id = FIRST_USER_ID if await work.users.is_empty() else self.identifiers.fresh()
        grants = (str(Grant.ADMIN),) if is_administrator else ()
        user = User.create(id, self.stamp(actor), email=address, name=name or name_in(address), grants=grants)
        work.users.save(user)
        await work.commit()
        return details_of_user(actor, user)


class GrantAdministration(TimedUseCase):
    """Makes the user with this address an administrator; on the command line only."""

    async def __call__(self, actor: Actor, email: str) -> User:
        work = self.begin(actor)
        user = await work.users.with_email(normal_email(email))
        if user is None:
            raise no_account(normal_email(email))
        if Grant.ADMIN in user.grants:
            raise Conflict(IS_ADMINISTRATOR)
        granted = user.grant(self.stamp(actor), Grant.ADMIN)
        work.users.save(granted)
        await work.commit()
        return granted
