"""Teams, their members, and the roles that people hold in them and in the whole installation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from adapters.adoption.document_fields import DocumentFields, spelled
from adapters.adoption.drafts import Draft, Drafts, Reading, is_deleted_in, trash
from adapters.adoption.findings import (
    CO_OWNER,
    INVITATIONS,
    LEFT_TEAM,
    NO_MEMBERSHIP,
    NO_RIGHTS,
    ORPHAN,
    SAME_PAIR,
    TRASH,
)
from adapters.adoption.people import People
from adapters.adoption.roles import OWNER, Roles
from adapters.records.originals import Original
from domain.entity import Stamp
from domain.role import RoleScope, built_in_id
from domain.team import MEMBER_ROLE_ID, OWNER_ROLE_ID, Membership, Team, membership_id

ADMIN_ROLE_ID: Final = built_in_id(RoleScope.TEAM, "admin")
NO_NAME = "The team has no name."
NO_PAIR = "It names no person or no team, so it cannot be a membership."
NO_ROLE = "It names no person or no role, or for a role in a team no team."
UNREADABLE_ROLE = "{} cannot be read, so it is not known which rights it gives, and where."
TEAM_AND_ALL = "It names a team, and says that the role holds everywhere."


@dataclass(slots=True)
class _Held:
    """A role that a document gives to a person, in a team or everywhere."""

    fields: DocumentFields
    user_id: str
    name: str
    scope: RoleScope
    team_id: str | None
    is_active: bool


class Teams:
    """The teams and memberships of these documents, with the roles in them."""

    def __init__(self, people: People, roles: Roles, reading: Reading) -> None:
        self.teams: Drafts[Team] = {}
        self.memberships: Drafts[Membership] = {}
        self._people, self._roles, self._reading = people, roles, reading

    def read(
        self, teams: Iterable[Original], memberships: Iterable[Original], user_roles: Iterable[Original]
    ) -> None:
        """Reads all of them; the order of the three kinds does not matter to the result."""
        for fields in self._reading.usable(teams):
            self._read_team(fields)
        for fields in self._reading.usable(memberships):
            self._read_membership(fields)
        held = [
            one for fields in self._reading.usable(user_roles) if (one := self._role_in(fields)) is not None
        ]
        self._choose_owners(held)
        for one in held:
            self._give(one)
        self._complete_owners()

    def _read_team(self, fields: DocumentFields) -> None:
        name = fields.text("name")
        if name is None or not name.strip():
            self._reading.findings.quarantine(fields.original, NO_NAME)
            return
        stamps = self._reading.stamps(fields)
        poc_id = fields.reference("pocId", "poc_id")
        in_trash = trash(fields, stamps, since=self._reading.at)
        owner_id = fields.reference("ownerId", "owner_id") or stamps["created_by"]
        for referred, names in ((owner_id, ("ownerId", "owner_id")), (poc_id, ("pocId", "poc_id"))):
            self._people.keep_other(fields, referred, *names)
        team = Team(
            id=fields.id,
            version=1,
            name=name,
            description=fields.text("description"),
            owner_id=self._people.acting(owner_id),
            poc_id=None if poc_id is None else self._people.acting(poc_id),
            **stamps,
            **in_trash,
        )
        self.teams[fields.id] = self._reading.draft(fields, team)
        if fields.original.fields.get("invite_code") is not None:
            self._reading.findings.add(INVITATIONS, "teams", fields.id)
        if in_trash:
            self._reading.findings.add(TRASH, "teams", fields.id)

    def _read_membership(self, fields: DocumentFields) -> None:
        user_id, team_id = fields.reference("userId", "user_id"), fields.reference("teamId", "team_id")
        if user_id is None or team_id is None:
            self._reading.findings.quarantine(fields.original, NO_PAIR)
            return
        acting = self._people.acting(user_id)
        self._people.keep_other(fields, user_id, "userId", "user_id")
        self._note_orphans("user_team_details", fields.id, user_id=user_id, team_id=team_id)
        stamps = self._reading.stamps(fields, maker=acting)
        in_trash = trash(fields, stamps)
        membership = Membership(
            id=membership_id(team_id, acting),
            version=1,
            team_id=team_id,
            user_id=acting,
            role_ids=(MEMBER_ROLE_ID,),
            **stamps,
            **in_trash,
        )
        self._fold(fields, self._reading.draft(fields, membership))

    def _fold(self, fields: DocumentFields, draft: Draft[Membership]) -> None:
        """Keeps one membership of each pair: an active one, and of those the oldest."""
        if (known := self.memberships.get(draft.entity.id)) is None:
            self.memberships[draft.entity.id] = draft
            return
        self._reading.findings.add(SAME_PAIR, "user_team_details", fields.id)
        if known.entity.is_deleted and not draft.entity.is_deleted:
            known.entity = draft.entity
        known.parts.append(fields.whole())
        known.sources.append(fields.id)

    def _role_in(self, fields: DocumentFields) -> _Held | None:
        """The role that a document gives; sets aside one that gives none."""
        user_id, team_id = fields.reference("userId", "user_id"), fields.reference("teamId", "team_id")
        name = fields.text("roleName", "role_name")
        fallback = RoleScope.GLOBAL if team_id is None else RoleScope.TEAM
        scope = fields.member(("scope",), {scope.value: scope for scope in RoleScope}) or fallback
        is_active = not is_deleted_in(fields)
        reason = None
        if fields.replaced:
            # A default in place of a value that cannot be read could give more rights than the document does.
            reason = UNREADABLE_ROLE.format(", ".join(fields.replaced))
        elif user_id is None or not name or (scope is RoleScope.TEAM and team_id is None):
            reason = NO_ROLE
        elif scope is RoleScope.GLOBAL and team_id is not None:
            reason = TEAM_AND_ALL
        if user_id is None or name is None or reason is not None:
            self._reading.findings.quarantine(fields.original, reason or NO_ROLE)
            return None
        return _Held(fields, self._people.acting(user_id), name.strip(), scope, team_id, is_active)

    def _choose_owners(self, held: Iterable[_Held]) -> None:
        """The owner of a team is who holds that role: its creator if they do, otherwise the first one."""
        owners: dict[str, list[str]] = {}
        for one in held:
            if one.is_active and one.team_id is not None and spelled(one.name) == OWNER:
                owners.setdefault(one.team_id, []).append(one.user_id)
        for team_id, ids in owners.items():
            draft = self.teams.get(team_id)
            if draft is not None and draft.entity.owner_id not in ids:
                draft.keep("teams", "ownerId", draft.entity.owner_id)
                draft.entity = replace(draft.entity, owner_id=ids[0])

    def _give(self, one: _Held) -> None:
        if one.scope is RoleScope.GLOBAL or one.team_id is None:
            self._give_globally(one)
            return
        draft = self._membership(one.team_id, one.user_id, one)
        draft.parts.append(one.fields.whole())
        draft.sources.append(one.fields.id)
        if not one.is_active:
            return
        if draft.entity.is_deleted:
            self._reading.findings.add(LEFT_TEAM, "user_roles", one.fields.id)
            return
        role_id = self._team_role_id(one)
        if role_id is not None:
            draft.entity = replace(draft.entity, role_ids=tuple(sorted({*draft.entity.role_ids, role_id})))

    def _team_role_id(self, one: _Held) -> str | None:
        team = self.teams.get(one.team_id or "")
        role_id = self._roles.id_of(RoleScope.TEAM, one.name)
        if role_id == OWNER_ROLE_ID:
            if team is not None and team.entity.owner_id == one.user_id:
                return None  # given to every owner below
            self._reading.findings.add(CO_OWNER, "teams", one.team_id or "")
            return ADMIN_ROLE_ID
        if role_id is None or (role_id != MEMBER_ROLE_ID and not self._roles.has_rights(role_id)):
            self._reading.findings.add(NO_RIGHTS, "user_roles", one.fields.id, detail=one.name)
        return role_id

    def _give_globally(self, one: _Held) -> None:
        draft = self._people.users.get(one.user_id)
        if draft is None:
            self._reading.findings.quarantine(
                one.fields.original, "The person who holds the role does not exist."
            )
            return
        draft.parts.append(one.fields.whole())
        draft.sources.append(one.fields.id)
        if not one.is_active:
            return
        grants = self._roles.grants_of(one.name)
        if not grants:
            self._reading.findings.add(NO_RIGHTS, "user_roles", one.fields.id, detail=one.name)
        draft.entity = replace(draft.entity, grants=tuple(sorted({*draft.entity.grants, *grants})))

    def _membership(self, team_id: str, user_id: str, one: _Held | None) -> Draft[Membership]:
        """The membership of this pair; a new one where a document says that there should be one."""
        id = membership_id(team_id, user_id)
        if id not in self.memberships:
            team = self.teams.get(team_id)
            at = self._reading.at if team is None else team.entity.created_at
            membership = Membership.create(Stamp(at, user_id), team_id=team_id, user_id=user_id)
            self.memberships[id] = Draft(membership)
            if one is not None:
                self._note_orphans("user_roles", one.fields.id, user_id=user_id, team_id=team_id)
            self._reading.findings.add(NO_MEMBERSHIP, "teams", team_id)
        return self.memberships[id]

    def _complete_owners(self) -> None:
        """Every owner is a member with the role of the owner."""
        for draft in self.teams.values():
            team = draft.entity
            if team.owner_id not in self._people.users:
                self._reading.findings.add(ORPHAN, "teams", team.id, detail="the owner, in users")
                continue
            member = self._membership(team.id, team.owner_id, None)
            granted = {*member.entity.role_ids} - {MEMBER_ROLE_ID}
            role_ids = tuple(sorted({*granted, OWNER_ROLE_ID}))
            member.entity = replace(
                member.entity, role_ids=role_ids, is_deleted=False, deleted_at=None, deleted_by=None
            )

    def _note_orphans(self, collection: str, id: str, *, user_id: str, team_id: str) -> None:
        known: Mapping[str, tuple[str, Mapping[str, object]]] = {
            "users": (user_id, self._people.users),
            "teams": (team_id, self.teams),
        }
        for other, (referred, drafts) in known.items():
            if referred not in drafts:
                self._reading.findings.add(ORPHAN, collection, id, detail=f"in {other}")
