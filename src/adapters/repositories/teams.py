"""Repositories of roles, teams and memberships: their questions as criteria."""

from collections.abc import Sequence

from adapters.records.criteria import AllOf, Criterion, Equals, HasWords, OneOf
from adapters.records.record import ID
from adapters.records.specs import ROLES, TEAM_MEMBERS, TEAMS
from adapters.repositories.generic import LIVE, StoredRepository, trashed_under
from application.paging import Page, PageRequest
from application.ports.repositories import TeamFilter
from domain.entity import Stamp
from domain.role import Role, RoleScope
from domain.team import Membership, Team


class StoredRoles(StoredRepository[Role]):
    """The port Roles."""

    spec = ROLES

    async def matching(self, scope: RoleScope | None, page: PageRequest) -> Page[Role]:
        return await self._page([] if scope is None else [Equals("scope", scope)], page, deleted=False)

    async def of_scope(self, scope: RoleScope) -> Sequence[Role]:
        return await self._all(Equals("scope", scope), LIVE)


class StoredTeams(StoredRepository[Team]):
    """The port Teams."""

    spec = TEAMS

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

    spec = TEAM_MEMBERS

    async def of_user(self, user_id: str) -> Sequence[Membership]:
        return await self._all(Equals("userId", user_id), LIVE)

    async def of_team(self, team_id: str) -> Sequence[Membership]:
        return await self._all(Equals("teamId", team_id), LIVE)

    async def count_of_team(self, team_id: str) -> int:
        return await self._store.count(self.spec.collection, AllOf((Equals("teamId", team_id), LIVE)))

    async def trashed_by(self, team_id: str, stamp: Stamp) -> Sequence[Membership]:
        return await self._all(Equals("teamId", team_id), *trashed_under(stamp))

    async def ever_of_team(self, team_id: str) -> Sequence[Membership]:
        return await self._all(Equals("teamId", team_id))

    async def page_of_team(self, team_id: str, page: PageRequest) -> Page[Membership]:
        return await self._page([Equals("teamId", team_id)], page, deleted=False)
