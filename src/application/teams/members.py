"""Who belongs to a team: members, invitations, and what happened there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from application.access import require, require_allowed
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.invitations import Invitation, Invitations
from application.ports.repositories import AuditFilter
from application.ports.unit_of_work import Begin, UnitOfWork
from application.reassignment import hand_back, hand_back_late
from application.retrying import retry_conflicts, with_concurrent_additions
from application.teams.access import Member, member_of, names_version, seen_team
from application.trash import changed_since
from domain.audit import AuditEntry
from domain.entity import Stamp
from domain.errors import Conflict, Fault, RuleBroken
from domain.permissions import may_change_members
from domain.role import BUILT_IN_ROLE_IDS
from domain.team import INVITATION_DAYS, MEMBERS_MAX, Membership, Team, membership_id

_NOT_YOURS = "Only who runs the team changes its members."


@dataclass(frozen=True, slots=True)
class ListMembers:
    """The members of a team, by name, each with the roles he holds there."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, page: PageRequest) -> Page[Member]:
        work = self.begin(actor)
        await seen_team(work, actor, id)
        found = await work.memberships.page_of_team(id, page)
        role_ids = {role_id for one in found.items for role_id in one.role_ids} - BUILT_IN_ROLE_IDS
        await work.load(users=[one.user_id for one in found.items], roles=sorted(role_ids))
        users = await work.users.get_many(one.user_id for one in found.items)
        roles = await work.roles.get_many(sorted(role_ids))
        counting = BUILT_IN_ROLE_IDS | {role.id for role in roles.values() if not role.is_deleted}
        members = [
            Member(
                one.user_id,
                users[one.user_id].name if one.user_id in users else None,
                tuple(role_id for role_id in one.role_ids if role_id in counting),
                one.created_at,
                one.version,
            )
            for one in found.items
        ]
        return Page(items=members, next=found.next, total=found.total)


@dataclass(frozen=True, slots=True)
class GetMembership:
    """One membership, also of somebody who left, also as it was; for whoever may see its team."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Membership:
        work = self.begin(actor)
        memberships = work.memberships
        membership = await (memberships.get(id) if version is None else memberships.at_version(id, version))
        await seen_team(work, actor, membership.team_id)
        return membership


async def _require_running(work: UnitOfWork, actor: Actor, team: Team) -> None:
    """Raises Forbidden unless the actor changes the members of the team; the commit relies on what lets him."""
    await require_allowed(
        work,
        actor,
        lambda principal: may_change_members(principal, team),
        teams=[team.id],
        message=_NOT_YOURS,
    )


@dataclass(frozen=True, slots=True)
class AddMembers:
    """Makes users members of a team; who is one already stays as he is."""

    begin: Begin
    clock: Clock

    @retry_conflicts()
    async def __call__(self, actor: Actor, id: str, user_ids: Sequence[str]) -> Team:
        work = self.begin(actor)
        team, _ = await seen_team(work, actor, id)
        await _require_running(work, actor, team)
        team.require_live()
        await work.load(users=user_ids, memberships=[membership_id(id, user_id) for user_id in user_ids])
        await _require_users(work, user_ids)
        await _let_in(work, team, user_ids, stamp=Stamp(self.clock.now(), actor.id))
        await work.commit()
        return team


async def _require_users(work: UnitOfWork, user_ids: Sequence[str]) -> None:
    users = await work.users.get_many(user_ids)
    live = {user.id for user in users.values() if not user.is_deleted}
    faults = [
        Fault(f"/userIds/{place}", "is no user")
        for place, user_id in enumerate(user_ids)
        if user_id not in live
    ]
    if faults:
        raise RuleBroken("Some of these users do not exist.", faults=faults)


async def _let_in(work: UnitOfWork, team: Team, user_ids: Sequence[str], *, stamp: Stamp) -> None:
    """Saves a membership for each who has none. The commit relies on the team: nobody joins one that is deleted.

    Raises Conflict where more would belong to it than may; those who join in the same moment do not see each other.
    """
    ids = {user_id: membership_id(team.id, user_id) for user_id in user_ids}
    known = await work.memberships.get_many(ids.values())
    coming = [
        user_id for user_id, id_ in ids.items() if (former := known.get(id_)) is None or former.is_deleted
    ]
    if not coming:
        return
    if await work.memberships.count_of_team(team.id) + len(coming) > MEMBERS_MAX:
        raise Conflict(f"A team has at most {MEMBERS_MAX} members.")
    for user_id in coming:
        former = known.get(ids[user_id])
        fresh = Membership.create(stamp, team_id=team.id, user_id=user_id)
        work.memberships.save(fresh if former is None else former.rejoin(stamp))
    work.teams.rely_on(team)


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Takes somebody out of a team, who hands his open team tasks back in the same change set; anybody may go himself.

    A task that he takes over in that very moment follows in a second change set. `expected_version` is his
    membership's; None means whichever is current.
    """

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, id: str, user_id: str, *, expected_version: int | None = None
    ) -> Membership:
        stamp = Stamp(self.clock.now(), actor.id)
        return await with_concurrent_additions(
            lambda: self._remove(actor, id, user_id, stamp, expected_version=expected_version),
            self.begin,
            actor,
            lambda work: hand_back_late(work, id, user_id, stamp),
        )

    @retry_conflicts(unless=names_version)
    async def _remove(
        self, actor: Actor, id: str, user_id: str, stamp: Stamp, *, expected_version: int | None
    ) -> Membership:
        work = self.begin(actor)
        team, _ = await seen_team(work, actor, id)
        if user_id != actor.id:
            await _require_running(work, actor, team)
        team.require_live()
        membership = await member_of(work, id, user_id)
        membership.require_version(expected_version)
        if team.needs_member(user_id):
            raise Conflict("Its owner and its contact cannot leave a team; name somebody else first.")
        work.teams.rely_on(team)
        left = membership.leave(stamp)
        work.memberships.save(left)
        await hand_back(work, id, user_id, stamp)
        await work.commit()
        return left


@dataclass(frozen=True, slots=True)
class FinishLeavings:
    """Hands back what somebody took over in the very moment he left, where the process died in between.

    Who went to the trash with his team keeps what he does there: both come back together.
    """

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, *, since: datetime) -> None:
        async for membership in changed_since(since, lambda: self.begin(actor).memberships):
            if membership.is_deleted:
                await self._finish(actor, membership)

    @retry_conflicts()
    async def _finish(self, actor: Actor, left: Membership) -> None:
        work = self.begin(actor)
        team = (await work.teams.get_many([left.team_id])).get(left.team_id)
        if team is None or team.trash_stamp == left.trash_stamp:
            return
        await hand_back_late(work, team.id, left.user_id, Stamp(self.clock.now(), actor.id))
        await work.commit()


@dataclass(frozen=True, slots=True)
class InviteToTeam:
    """A code with which anybody joins the team within INVITATION_DAYS, and when that is over."""

    begin: Begin
    clock: Clock
    invitations: Invitations

    async def __call__(self, actor: Actor, id: str) -> tuple[str, Invitation]:
        team, principal = await seen_team(self.begin(actor), actor, id)
        require(may_change_members(principal, team), _NOT_YOURS)
        team.require_live()
        expires_at = self.clock.now().replace(microsecond=0) + timedelta(days=INVITATION_DAYS)
        invitation = Invitation(team_id=id, series=team.invite_series, expires_at=expires_at)
        return self.invitations.code_of(invitation), invitation


@dataclass(frozen=True, slots=True)
class RevokeInvitations:
    """Makes every code so far worthless."""

    begin: Begin
    clock: Clock

    @retry_conflicts(unless="teams")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Team:
        work = self.begin(actor)
        team, _ = await seen_team(work, actor, id)
        await _require_running(work, actor, team)
        team.require_version(expected_version)
        revoked = team.revoke_invitations(Stamp(self.clock.now(), actor.id))
        work.teams.save(revoked)
        await work.commit()
        return revoked


@dataclass(frozen=True, slots=True)
class JoinTeam:
    """Lets the actor into the team that a code opens. Every code that opens none is refused alike, and so is any from
    whoever was removed by somebody else: only who runs the team takes him back.
    """

    begin: Begin
    clock: Clock
    invitations: Invitations

    @retry_conflicts()
    async def __call__(self, actor: Actor, code: str) -> Team:
        invitation = self.invitations.read(code)
        now = self.clock.now()
        if invitation is None or invitation.expires_at <= now:
            raise _worthless()
        work = self.begin(actor)
        id = invitation.team_id
        await work.load(teams=[id], memberships=[membership_id(id, actor.id)])
        team = (await work.teams.get_many([id])).get(id)
        if team is None or team.is_deleted or team.invite_series != invitation.series:
            raise _worthless()
        membership = (await work.memberships.get_many([membership_id(id, actor.id)])).get(
            membership_id(id, actor.id)
        )
        if membership is not None and membership.was_removed:
            raise _worthless()
        await _let_in(work, team, [actor.id], stamp=Stamp(now, actor.id))
        await work.commit()
        return team


def _worthless() -> RuleBroken:
    return RuleBroken("This code opens no team.", faults=[Fault("/code", "is wrong, expired or revoked")])


@dataclass(frozen=True, slots=True)
class GetJoinedTeam:
    """The team of a membership, for whoever belongs to it: what a repeated request to join is answered with."""

    begin: Begin

    async def __call__(self, actor: Actor, membership_id: str) -> Team:
        work = self.begin(actor)
        team_id = (await work.memberships.get(membership_id)).team_id
        team, _ = await seen_team(work, actor, team_id)
        return team


@dataclass(frozen=True, slots=True)
class ListTeamActivity:
    """The entries of a team and of all who ever belonged to it, newest first; for its members."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, page: PageRequest) -> Page[AuditEntry]:
        work = self.begin(actor)
        await seen_team(work, actor, id)
        memberships = await work.memberships.ever_of_team(id)
        wanted = AuditFilter(
            collections=("teams", "team_members"),
            entity_ids=(id, *(membership.id for membership in memberships)),
        )
        return await work.audit.matching(wanted, page)
