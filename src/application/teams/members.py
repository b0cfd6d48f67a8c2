"""Members of teams, invitations and the activity of a team."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from application.access import require, require_allowed
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.invitations import Invitation, Invitations
from application.ports.repositories import AuditFilter
from application.ports.unit_of_work import UnitOfWork
from application.reassignment import reassign_added_tasks, reassign_tasks
from application.retrying import retry_conflicts, with_concurrent_additions
from application.teams.access import Member, member_of, names_version, visible_team
from application.trash import changed_since
from application.use_case import TimedUseCase, UseCase
from domain.audit import AuditEntry
from domain.entity import Stamp
from domain.errors import Conflict, RuleBroken, Violation
from domain.permissions import may_change_members
from domain.role import BUILT_IN_ROLE_IDS
from domain.team import INVITATION_DAYS, MEMBERS_MAX, Membership, Team, membership_id

_FORBIDDEN = "Only the team's owner, or members with CHANGE_MEMBERS, can change its members."


class ListMembers(UseCase):
    """The members of a team with their names and roles."""

    async def __call__(self, actor: Actor, id: str, page: PageRequest) -> Page[Member]:
        work = self.begin(actor)
        await visible_team(work, actor, id)
        found = await work.memberships.page_of_team(id, page)
        role_ids = {role_id for one in found.items for role_id in one.role_ids} - BUILT_IN_ROLE_IDS
        await work.load(users=[one.user_id for one in found.items], roles=sorted(role_ids))
        users = await work.users.get_many(one.user_id for one in found.items)
        roles = await work.roles.get_many(sorted(role_ids))
        valid = BUILT_IN_ROLE_IDS | {role.id for role in roles.values() if not role.is_deleted}
        members = [
            Member(
                one.user_id,
                users[one.user_id].name if one.user_id in users else None,
                tuple(role_id for role_id in one.role_ids if role_id in valid),
                one.created_at,
                one.version,
            )
            for one in found.items
        ]
        return Page(items=members, next=found.next, total=found.total)


class GetMembership(UseCase):
    """One membership, live or ended, at present or at an earlier version, for everybody who may see its team."""

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Membership:
        work = self.begin(actor)
        memberships = work.memberships
        membership = await (memberships.get(id) if version is None else memberships.at_version(id, version))
        await visible_team(work, actor, membership.team_id)
        return membership


async def _require_manager(work: UnitOfWork, actor: Actor, team: Team) -> None:
    """Raises Forbidden unless the actor may change the members of the team, now and at the commit."""
    await require_allowed(
        work,
        actor,
        lambda principal: may_change_members(principal, team),
        teams=[team.id],
        message=_FORBIDDEN,
    )


class AddMembers(TimedUseCase):
    """Makes users members of a team; present members do not change."""

    @retry_conflicts()
    async def __call__(self, actor: Actor, id: str, user_ids: Sequence[str]) -> Team:
        work = self.begin(actor)
        team, _ = await visible_team(work, actor, id)
        await _require_manager(work, actor, team)
        team.require_live()
        await work.load(users=user_ids, memberships=[membership_id(id, user_id) for user_id in user_ids])
        await _require_users(work, user_ids)
        await _add(work, team, user_ids, stamp=self.stamp(actor))
        await work.commit()
        return team


async def _require_users(work: UnitOfWork, user_ids: Sequence[str]) -> None:
    users = await work.users.get_many(user_ids)
    live = {user.id for user in users.values() if not user.is_deleted}
    violations = [
        Violation(f"/userIds/{place}", "is not a user")
        for place, user_id in enumerate(user_ids)
        if user_id not in live
    ]
    if violations:
        raise RuleBroken("Some of these users do not exist.", violations=violations)


async def _add(work: UnitOfWork, team: Team, user_ids: Sequence[str], *, stamp: Stamp) -> None:
    """Saves a membership for every user who has none. The commit fails if the team is deleted meanwhile.

    Raises Conflict beyond MEMBERS_MAX members; concurrent additions are not counted.
    """
    ids = {user_id: membership_id(team.id, user_id) for user_id in user_ids}
    known = await work.memberships.get_many(ids.values())
    coming = [
        user_id for user_id, id_ in ids.items() if (former := known.get(id_)) is None or former.is_deleted
    ]
    if not coming:
        return
    if await work.memberships.count_of_team(team.id) + len(coming) > MEMBERS_MAX:
        raise Conflict(f"A team can have at most {MEMBERS_MAX} members; remove some first.")
    for user_id in coming:
        former = known.get(ids[user_id])
        fresh = Membership.create(stamp, team_id=team.id, user_id=user_id)
        work.memberships.save(fresh if former is None else former.rejoin(stamp))
    work.teams.require_unchanged(team)


class RemoveMember(TimedUseCase):
    """Removes a member from a team and reassigns their open team tasks in the same change set. Members may leave.

    A task that they take meanwhile follows in a second change set. `expected_version` is that of the membership; None
    accepts any version.
    """

    async def __call__(
        self, actor: Actor, id: str, user_id: str, *, expected_version: int | None = None
    ) -> Membership:
        stamp = self.stamp(actor)
        return await with_concurrent_additions(
            lambda: self._remove(actor, id, user_id, stamp, expected_version=expected_version),
            self.begin,
            actor,
            lambda work: reassign_added_tasks(work, id, user_id, stamp),
        )

    @retry_conflicts(unless=names_version)
    async def _remove(
        self, actor: Actor, id: str, user_id: str, stamp: Stamp, *, expected_version: int | None
    ) -> Membership:
        work = self.begin(actor)
        team, _ = await visible_team(work, actor, id)
        if user_id != actor.id:
            await _require_manager(work, actor, team)
        team.require_live()
        membership = await member_of(work, id, user_id)
        membership.require_version(expected_version)
        if team.needs_member(user_id):
            raise Conflict("The owner and the contact cannot leave the team; name another one first.")
        work.teams.require_unchanged(team)
        left = membership.leave(stamp)
        work.memberships.save(left)
        await reassign_tasks(work, id, user_id, stamp)
        await work.commit()
        return left


class FinishLeavings(TimedUseCase):
    """Reassigns tasks that members took while they left a team, if a crash interrupted the second change set.

    Members who were deleted with their team keep their tasks, because both are restored together.
    """

    async def __call__(self, actor: Actor, *, since: datetime) -> None:
        async for membership in changed_since(since, lambda: self.begin(actor).memberships):
            if membership.is_deleted:
                await self._finish(actor, membership)

    @retry_conflicts()
    async def _finish(self, actor: Actor, left: Membership) -> None:
        work = self.begin(actor)
        team = await work.teams.find(left.team_id)
        if team is None or team.trash_stamp == left.trash_stamp:
            return
        await reassign_added_tasks(work, team.id, left.user_id, self.stamp(actor))
        await work.commit()


@dataclass(frozen=True, slots=True)
class InviteToTeam(TimedUseCase):
    """Creates a code with which anybody can join the team within INVITATION_DAYS."""

    invitations: Invitations

    async def __call__(self, actor: Actor, id: str) -> tuple[str, Invitation]:
        team, principal = await visible_team(self.begin(actor), actor, id)
        require(may_change_members(principal, team), _FORBIDDEN)
        team.require_live()
        expires_at = self.clock.now().replace(microsecond=0) + timedelta(days=INVITATION_DAYS)
        invitation = Invitation(team_id=id, series=team.invite_series, expires_at=expires_at)
        return self.invitations.code_of(invitation), invitation


class RevokeInvitations(TimedUseCase):
    """Revokes all invitation codes of a team."""

    @retry_conflicts(unless="teams")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Team:
        work = self.begin(actor)
        team, _ = await visible_team(work, actor, id)
        await _require_manager(work, actor, team)
        team.require_version(expected_version)
        revoked = team.revoke_invitations(self.stamp(actor))
        work.teams.save(revoked)
        await work.commit()
        return revoked


@dataclass(frozen=True, slots=True)
class JoinTeam(TimedUseCase):
    """Makes the actor a member of the team of an invitation code. Who left a team may return with a code; who was
    removed must be added by its owner or managers.

    The error gives the true reason. It tells nothing to people who guess: a code that was not made here has one error
    only, and nobody can make the others.
    """

    invitations: Invitations

    @retry_conflicts()
    async def __call__(self, actor: Actor, code: str) -> Team:
        invitation = self.invitations.read(code)
        now = self.clock.now()
        if invitation is None:
            raise _rejected_code("is not a code of this installation; check that it was copied completely")
        if invitation.expires_at <= now:
            raise _rejected_code(f"expired on {invitation.expires_at:%Y-%m-%d}; ask for a new one")
        work = self.begin(actor)
        id = invitation.team_id
        await work.load(teams=[id], memberships=[membership_id(id, actor.id)])
        team = await work.teams.find(id)
        if team is None or team.is_deleted:
            raise _rejected_code("belongs to a team that was deleted")
        if team.invite_series != invitation.series:
            raise _rejected_code("was revoked by the team; ask for a new one")
        former = await work.memberships.find(membership_id(id, actor.id))
        if former is not None and former.was_removed:
            raise _rejected_code(
                "is valid, but you were removed from this team; ask its owner, or a member who may change members,"
                " to add you again"
            )
        await _add(work, team, [actor.id], stamp=Stamp(now, actor.id))
        await work.commit()
        return team


def _rejected_code(reason: str) -> RuleBroken:
    return RuleBroken(f"This invitation code {reason}.", violations=[Violation("/code", reason)])


class GetJoinedTeam(UseCase):
    """The team of a membership, for its members: the response to a repeated request to join."""

    async def __call__(self, actor: Actor, membership_id: str) -> Team:
        work = self.begin(actor)
        team_id = (await work.memberships.get(membership_id)).team_id
        team, _ = await visible_team(work, actor, team_id)
        return team


class ListTeamActivity(UseCase):
    """The audit entries of a team and of all its present and former memberships, for its members."""

    async def __call__(self, actor: Actor, id: str, page: PageRequest) -> Page[AuditEntry]:
        work = self.begin(actor)
        await visible_team(work, actor, id)
        memberships = await work.memberships.ever_of_team(id)
        filters = AuditFilter(
            collections=("teams", "team_members"),
            entity_ids=(id, *(membership.id for membership in memberships)),
        )
        return await work.audit.matching(filters, page)
