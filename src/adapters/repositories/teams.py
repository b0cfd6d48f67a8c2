"""Roles, teams and memberships: their questions as criteria."""

from collections.abc import Sequence

from adapters.records.criteria import AllOf, Criterion, Equals, HasWords, OneOf
from adapters.records.record import ID, IS_DELETED
from adapters.repositories.generic import StoredRepository, trashed_under
from application.paging import Page, PageRequest
from application.ports.repositories import TeamFilter
from domain.entity import Stamp
from domain.role import Role, RoleScope
from domain.team import Membership, Team

LIVE = Equals(IS_DELETED, False)  # noqa: FBT003 - a value


class StoredRoles(StoredRepository[Role]):
    """The port Roles."""

    async def matching(self, scope: RoleScope | None, page: PageRequest) -> Page[Role]:
        return await self._page([] if scope is None else [Equals("scope", scope)], page, deleted=False)

    async def of_scope(self, scope: RoleScope) -> Sequence[Role]:
        return await self._all(Equals("scope", scope), LIVE)


class StoredTeams(StoredRepository[Team]):
    """The port Teams."""

    async def matching(self, filters: TeamFilter, page: PageRequest) -> Page[Team]:
        where: list[Criterion] = []
        if filters.ids is not None:
            where.append(OneOf(ID, filters.ids))
        if filters.owner_id is not None:
            where.append(Equals("ownerId", filters.owner_id))
        if filters.text:
            where.append(HasWords(filters.text))
        return await self._page(where, page, deleted=filters.deleted)


class StoredMemberships(StoredRepository[Membership]):
    """The port Memberships."""

    async def of_user(self, user_id: str) -> Sequence[Membership]:
        return await self._all(Equals("userId", user_id), LIVE)

    async def of_team(self, team_id: str) -> Sequence[Membership]:
        return await self._all(Equals("teamId", team_id), LIVE)

    async def count_of_team(self, team_id: str) -> int:
        return await self._store.count(self._spec.collection, AllOf((Equals("teamId", team_id), LIVE)))

    async def trashed_by(self, team_id: str, stamp: Stamp) -> Sequence[Membership]:
        return await self._all(Equals("teamId", team_id), *trashed_under(stamp))

    async def ever_of_team(self, team_id: str) -> Sequence[Membership]:
        return await self._all(Equals("teamId", team_id))

    async def page_of_team(self, team_id: str, page: PageRequest) -> Page[Membership]:
        return await self._page([Equals("teamId", team_id)], page, deleted=False)
