"""/v1/teams/{id}/members, invitations to a team, the roles of its members, and what happened there."""

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from domain.team import membership_id
from entrypoints.http.addresses import known_id
from entrypoints.http.audit import NEWEST_FIRST, audit_view
from entrypoints.http.protocol.answers import (
    NO_STORE,
    Answer,
    HttpRequest,
    instant_text,
    made_view,
    view_answer,
)
from entrypoints.http.protocol.input import read_body
from entrypoints.http.protocol.operation import documented
from entrypoints.http.queries import ListQuery, PageQuery, read_query, require_no_query
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.team_desks import MemberDesk
from entrypoints.http.teams.schemas import InviteCodeView, JoinBody, MembersBody, MemberView, TeamView
from entrypoints.http.views import AuditEntryView

ORDER = "createdAt"


class MemberController(Controller):
    """Who belongs to a team."""

    path = "/v1/teams"

    @get("/{id:str}/members", opt=documented("List members", page_of=MemberView, query=ListQuery))
    async def list_all(
        self, request: HttpRequest, id: FromPath[str], members: NamedDependency[MemberDesk]
    ) -> Answer:
        actor = actor_of(request)
        wanted = members.pages.wanted(request, read_query(request, ListQuery), sort=ORDER)
        page = await members.find(actor, known_id(id), wanted)
        return members.pages.answer(request, page, lambda member: made_view(member, MemberView))

    @post(
        "/{id:str}/members",
        status_code=200,
        opt=documented(
            "Add members; who is one already stays as he is",
            answer=TeamView,
            body=MembersBody,
            is_tagged=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def add(
        self, request: HttpRequest, id: FromPath[str], members: NamedDependency[MemberDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        known_id(id)
        body = await read_body(request, MembersBody)
        return await members.writing.act(
            request,
            actor,
            run=lambda claimed: members.add(claimed, id, body.user_ids),
            again=lambda membership_id: members.joined(actor, membership_id),
        )

    # The framework wants a status that allows a body; the answer brings its own.
    @delete(
        "/{id:str}/members/{user_id:str}",
        status_code=200,
        opt=documented("Remove a member, or leave", status=204, is_guarded=True, also=(403,)),
    )
    async def remove(
        self,
        request: HttpRequest,
        id: FromPath[str],
        user_id: FromPath[str],
        members: NamedDependency[MemberDesk],
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return await members.writing.remove(
            request,
            actor,
            membership_id(known_id(id), known_id(user_id)),
            load=members.membership,
            run=lambda claimed, expected: members.remove(claimed, id, user_id, expected_version=expected),
        )

    @put(
        "/{id:str}/members/{user_id:str}/roles/{role_id:str}",
        opt=documented("Give a member a role in the team", status=204, is_guarded=True, also=(403,)),
    )
    async def grant(
        self,
        request: HttpRequest,
        *,
        id: FromPath[str],
        user_id: FromPath[str],
        role_id: FromPath[str],
        members: NamedDependency[MemberDesk],
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        known_id(role_id)
        return await members.writing.remove(
            request,
            actor,
            membership_id(known_id(id), known_id(user_id)),
            load=members.membership,
            run=lambda claimed, expected: members.grant(
                claimed, id, user_id, role_id, expected_version=expected
            ),
        )

    @delete(
        "/{id:str}/members/{user_id:str}/roles/{role_id:str}",
        status_code=200,
        opt=documented("Take a role in the team from a member", status=204, is_guarded=True, also=(403,)),
    )
    async def take(
        self,
        request: HttpRequest,
        *,
        id: FromPath[str],
        user_id: FromPath[str],
        role_id: FromPath[str],
        members: NamedDependency[MemberDesk],
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        known_id(role_id)
        return await members.writing.remove(
            request,
            actor,
            membership_id(known_id(id), known_id(user_id)),
            load=members.membership,
            run=lambda claimed, expected: members.take(
                claimed, id, user_id, role_id, expected_version=expected
            ),
        )

    @get(
        "/{id:str}/activity",
        opt=documented(
            "List what happened to a team and its members, newest first",
            page_of=AuditEntryView,
            query=PageQuery,
        ),
    )
    async def activity(
        self, request: HttpRequest, id: FromPath[str], members: NamedDependency[MemberDesk]
    ) -> Answer:
        actor = actor_of(request)
        wanted = members.pages.wanted(request, read_query(request, PageQuery), sort=NEWEST_FIRST)
        page = await members.activity(actor, known_id(id), wanted)
        return members.pages.answer(request, page, audit_view, headers=NO_STORE)


class InvitationController(Controller):
    """Codes that let people into a team."""

    path = "/v1/teams"

    @post(
        "/{id:str}/invite-codes",
        status_code=200,
        opt=documented("Make a code that lets people in", answer=InviteCodeView, also=(403, 409)),
    )
    async def invite(
        self, request: HttpRequest, id: FromPath[str], members: NamedDependency[MemberDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        code, invitation = await members.invite(actor, known_id(id))
        return view_answer(InviteCodeView(code, instant_text(invitation.expires_at)), headers=NO_STORE)

    @delete(
        "/{id:str}/invite-codes",
        status_code=200,
        opt=documented("Make every code so far worthless", status=204, is_guarded=True, also=(403,)),
    )
    async def revoke(
        self, request: HttpRequest, id: FromPath[str], members: NamedDependency[MemberDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return await members.writing.remove(
            request,
            actor,
            id,
            load=members.team,
            run=lambda claimed, expected: members.revoke(claimed, id, expected_version=expected),
        )

    @post(
        "/join",
        status_code=200,
        opt=documented(
            "Join the team that a code opens",
            answer=TeamView,
            body=JoinBody,
            is_tagged=True,
            is_repeatable=True,
        ),
    )
    async def join(self, request: HttpRequest, members: NamedDependency[MemberDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        body = await read_body(request, JoinBody)
        return await members.writing.act(
            request,
            actor,
            run=lambda claimed: members.join(claimed, body.code),
            again=lambda membership_id: members.joined(actor, membership_id),
        )
