"""What the handlers of teams, members and roles work with; see desks.py for why each asks for exactly one desk."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from application.accounts import users
from application.history.audit import ListVersions
from application.teams import commands as teams
from application.teams import granting, roles
from application.teams import members as team_members
from entrypoints.http.protocol.cursors import Pages
from entrypoints.http.protocol.writes import Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamDesk:
    """For teams."""

    create: teams.CreateTeam
    get: teams.GetTeam
    find: teams.ListTeams
    edit: teams.EditTeam
    delete: teams.DeleteTeam
    restore: teams.RestoreTeam
    roll_back: teams.RollBackTeam
    list_versions: ListVersions
    pages: Pages
    writing: Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDesk:
    """For members, invitations, and the roles of members. `joined` finds the team of a membership."""

    team: teams.GetTeam
    membership: team_members.GetMembership
    find: team_members.ListMembers
    add: team_members.AddMembers
    remove: team_members.RemoveMember
    invite: team_members.InviteToTeam
    revoke: team_members.RevokeInvitations
    join: team_members.JoinTeam
    joined: team_members.GetJoinedTeam
    activity: team_members.ListTeamActivity
    grant: granting.GrantTeamRole
    take: granting.TakeTeamRole
    pages: Pages
    writing: Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDesk:
    """For roles, and who holds them everywhere. `user` reads an account."""

    create: roles.CreateRole
    get: roles.GetRole
    find: roles.ListRoles
    edit: roles.EditRole
    delete: roles.DeleteRole
    user: users.GetUser
    held: granting.ListRolesOfUser
    grant: granting.GrantGlobalRole
    take: granting.TakeGlobalRole
    pages: Pages
    writing: Writing


class TeamUseCases(Protocol):
    """What these desks need from the container."""

    @property
    def create_team(self) -> Callable[[], teams.CreateTeam]: ...
    @property
    def get_team(self) -> Callable[[], teams.GetTeam]: ...
    @property
    def list_teams(self) -> Callable[[], teams.ListTeams]: ...
    @property
    def edit_team(self) -> Callable[[], teams.EditTeam]: ...
    @property
    def delete_team(self) -> Callable[[], teams.DeleteTeam]: ...
    @property
    def restore_team(self) -> Callable[[], teams.RestoreTeam]: ...
    @property
    def roll_back_team(self) -> Callable[[], teams.RollBackTeam]: ...

    @property
    def list_members(self) -> Callable[[], team_members.ListMembers]: ...
    @property
    def get_membership(self) -> Callable[[], team_members.GetMembership]: ...
    @property
    def add_members(self) -> Callable[[], team_members.AddMembers]: ...
    @property
    def remove_member(self) -> Callable[[], team_members.RemoveMember]: ...
    @property
    def invite_to_team(self) -> Callable[[], team_members.InviteToTeam]: ...
    @property
    def revoke_invitations(self) -> Callable[[], team_members.RevokeInvitations]: ...
    @property
    def join_team(self) -> Callable[[], team_members.JoinTeam]: ...
    @property
    def get_joined_team(self) -> Callable[[], team_members.GetJoinedTeam]: ...
    @property
    def list_team_activity(self) -> Callable[[], team_members.ListTeamActivity]: ...

    @property
    def create_role(self) -> Callable[[], roles.CreateRole]: ...
    @property
    def get_role(self) -> Callable[[], roles.GetRole]: ...
    @property
    def list_roles(self) -> Callable[[], roles.ListRoles]: ...
    @property
    def edit_role(self) -> Callable[[], roles.EditRole]: ...
    @property
    def delete_role(self) -> Callable[[], roles.DeleteRole]: ...

    @property
    def list_roles_of_user(self) -> Callable[[], granting.ListRolesOfUser]: ...
    @property
    def grant_global_role(self) -> Callable[[], granting.GrantGlobalRole]: ...
    @property
    def take_global_role(self) -> Callable[[], granting.TakeGlobalRole]: ...
    @property
    def grant_team_role(self) -> Callable[[], granting.GrantTeamRole]: ...
    @property
    def take_team_role(self) -> Callable[[], granting.TakeTeamRole]: ...

    @property
    def get_user(self) -> Callable[[], users.GetUser]: ...
    @property
    def list_versions(self) -> Callable[[], ListVersions]: ...


def team_desks(container: TeamUseCases, pages: Pages, writing: Writing) -> dict[str, object]:
    """The desks by the names that handlers ask for."""
    return {
        "teams": TeamDesk(
            create=container.create_team(),
            get=container.get_team(),
            find=container.list_teams(),
            edit=container.edit_team(),
            delete=container.delete_team(),
            restore=container.restore_team(),
            roll_back=container.roll_back_team(),
            list_versions=container.list_versions(),
            pages=pages,
            writing=writing,
        ),
        "members": _member_desk(container, pages, writing),
        "roles": _role_desk(container, pages, writing),
    }


def _member_desk(container: TeamUseCases, pages: Pages, writing: Writing) -> MemberDesk:
    return MemberDesk(
        team=container.get_team(),
        membership=container.get_membership(),
        find=container.list_members(),
        add=container.add_members(),
        remove=container.remove_member(),
        invite=container.invite_to_team(),
        revoke=container.revoke_invitations(),
        join=container.join_team(),
        joined=container.get_joined_team(),
        activity=container.list_team_activity(),
        grant=container.grant_team_role(),
        take=container.take_team_role(),
        pages=pages,
        writing=writing,
    )


def _role_desk(container: TeamUseCases, pages: Pages, writing: Writing) -> RoleDesk:
    return RoleDesk(
        create=container.create_role(),
        get=container.get_role(),
        find=container.list_roles(),
        edit=container.edit_role(),
        delete=container.delete_role(),
        user=container.get_user(),
        held=container.list_roles_of_user(),
        grant=container.grant_global_role(),
        take=container.take_global_role(),
        pages=pages,
        writing=writing,
    )
