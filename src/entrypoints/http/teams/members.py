"""/v1/teams/{id}/members: members and their roles, invitations, and the activity of a team."""

from application.actor import Actor
from application.paging import Page, PageRequest
from application.teams.commands import GetTeam
from application.teams.granting import GrantTeamRole, TakeTeamRole
from application.teams.members import (
    AddMembers,
    GetJoinedTeam,
    GetMembership,
    InviteToTeam,
    JoinTeam,
    ListMembers,
    ListTeamActivity,
    RemoveMember,
    RevokeInvitations,
)
from domain.team import Membership, Team, membership_id
from entrypoints.http.history import AuditEntryView, AuditViews
from entrypoints.http.protocol.answers import Tagged, instant_text, made_view
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource, shown_as
from entrypoints.http.protocol.schemas import EntryQuery
from entrypoints.http.teams.schemas import (
    InviteCodeView,
    JoinBody,
    MemberQuery,
    MembersBody,
    MembershipView,
    MemberView,
    TeamView,
)


async def _replay_joining(
    controller: "JoinController", actor: Actor, membership_id: str, _version: int
) -> Team:
    """The team of the membership that the earlier request created: the audit entry is about the membership."""
    return await controller.get_joined(actor, membership_id)


class MemberController(Controller, path="/v1/teams/{id}/members/{user_id}", collection="team_members"):
    """One member of a team, and their roles in it."""

    get: GetMembership
    remove_member: RemoveMember
    grant_role: GrantTeamRole
    take_role: TakeTeamRole

    def record_id(self, path: dict[str, str]) -> str | None:
        return membership_id(path["id"], path["user_id"])

    @operation("DELETE", summary="Remove a member, or leave", status=204, also=(403,))
    async def remove(self, actor: Actor, id: str, user_id: str, expected: int | None) -> Tagged:
        return await self.remove_member(actor, id, user_id, expected_version=expected)

    @operation("PUT", "/roles/{role_id}", summary="Grant a team role to a member", status=204, also=(403,))
    async def grant(
        self, actor: Actor, id: str, *, user_id: str, role_id: str, expected: int | None
    ) -> Tagged:
        return await self.grant_role(actor, id, user_id, role_id, expected_version=expected)

    @operation(
        "DELETE", "/roles/{role_id}", summary="Revoke a team role from a member", status=204, also=(403,)
    )
    async def take(
        self, actor: Actor, id: str, *, user_id: str, role_id: str, expected: int | None
    ) -> Tagged:
        return await self.take_role(actor, id, user_id, role_id, expected_version=expected)


class JoinController(Controller, path="/v1/teams", collection="teams"):
    """The members of a team, invitations and joining, and the team's activity."""

    get: GetTeam
    get_joined: GetJoinedTeam
    list_members: ListMembers
    add_members: AddMembers
    invite_to_team: InviteToTeam
    revoke_invitations: RevokeInvitations
    join_team: JoinTeam
    list_activity: ListTeamActivity
    audit_views: AuditViews

    @operation("GET", "/{id}/members", summary="List members", page_of=MemberView, query=MemberQuery)
    async def list_all(self, actor: Actor, id: str, page: PageRequest) -> Page[MemberView]:
        found = await self.list_members(actor, id, page)
        return found.showing(lambda member: made_view(member, MemberView))

    @operation(
        "POST",
        "/{id}/members",
        summary="Add members; existing members stay unchanged",
        view=TeamView,
        repeatable=True,
        replay=_replay_joining,
        also=(403,),
    )
    async def add(self, actor: Actor, id: str, body: MembersBody) -> Team:
        return await self.add_members(actor, id, body.user_ids)

    @operation(
        "GET",
        "/{id}/activity",
        summary="List the activity of a team and its members, newest first",
        page_of=AuditEntryView,
        query=EntryQuery,
        stored=False,
    )
    async def activity(self, actor: Actor, id: str, page: PageRequest) -> Page[AuditEntryView]:
        return (await self.list_activity(actor, id, page)).showing(self.audit_views.entry)

    @operation(
        "POST",
        "/{id}/invite-codes",
        summary="Create an invitation code",
        view=InviteCodeView,
        stored=False,
        also=(403, 409),
    )
    async def invite(self, actor: Actor, id: str) -> InviteCodeView:
        code, invitation = await self.invite_to_team(actor, id)
        return InviteCodeView(code, instant_text(invitation.expires_at))

    @operation("DELETE", "/{id}/invite-codes", summary="Revoke all invitation codes", status=204, also=(403,))
    async def revoke(self, actor: Actor, id: str, expected: int | None) -> Tagged:
        return await self.revoke_invitations(actor, id, expected_version=expected)

    @operation(
        "POST",
        "/join",
        summary="Join a team with an invitation code",
        view=TeamView,
        repeatable=True,
        replay=_replay_joining,
    )
    async def join(self, actor: Actor, body: JoinBody) -> Team:
        return await self.join_team(actor, body.code)


MEMBERS = Resource(
    controllers=(MemberController, JoinController),
    collection="team_members",
    view=MembershipView,
    views=shown_as(Membership, MembershipView),
)
