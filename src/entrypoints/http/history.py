"""The one version contract of everything that has versions: list, read, compare, put back, audit."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from application.actor import Actor
from application.history.audit import ListVersions
from domain.audit import changes_between
from entrypoints.http.addresses import known_id, known_version
from entrypoints.http.audit import NEWEST_FIRST, audit_view, version_view
from entrypoints.http.conditional import Tagged
from entrypoints.http.projects.schemas import RollbackBody
from entrypoints.http.protocol.answers import NO_STORE, Answer, HttpRequest, entity_answer, shown, view_answer
from entrypoints.http.protocol.cursors import Pages
from entrypoints.http.protocol.input import read_body
from entrypoints.http.protocol.operation import documented
from entrypoints.http.protocol.writes import Load, Writing
from entrypoints.http.queries import DiffQuery, PageQuery, read_query, require_no_query
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.views import AuditEntryView, ChangeView, DiffView, EntityView, VersionView


class RollBack(Protocol):
    """Puts an earlier version back as a new one."""

    def __call__(
        self, actor: Actor, id: str, /, *, version: int, expected_version: int | None
    ) -> Awaitable[Tagged]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned:
    """One kind of thing with versions: where its entries are, and the use cases that read it and put it back."""

    collection: str
    load: Load
    roll_back: RollBack
    list_versions: ListVersions
    pages: Pages
    writing: Writing


class HistoryController(Controller):
    """The history of one entity; each kind that has versions inherits it, with its address and `versioned`."""

    @get("/versions", opt=documented("List versions, newest first", page_of=VersionView, query=PageQuery))
    async def versions(
        self, request: HttpRequest, id: FromPath[str], versioned: NamedDependency[Versioned]
    ) -> Answer:
        actor = actor_of(request)
        wanted = versioned.pages.wanted(request, read_query(request, PageQuery), sort=NEWEST_FIRST)
        await versioned.load(actor, known_id(id))
        page = await versioned.list_versions(actor, versioned.collection, id, wanted)
        return versioned.pages.answer(request, page, version_view, headers=NO_STORE)

    @get(
        "/audit", opt=documented("List audit entries, newest first", page_of=AuditEntryView, query=PageQuery)
    )
    async def audit(
        self, request: HttpRequest, id: FromPath[str], versioned: NamedDependency[Versioned]
    ) -> Answer:
        actor = actor_of(request)
        wanted = versioned.pages.wanted(request, read_query(request, PageQuery), sort=NEWEST_FIRST)
        await versioned.load(actor, known_id(id))
        page = await versioned.list_versions(actor, versioned.collection, id, wanted)
        return versioned.pages.answer(request, page, audit_view, headers=NO_STORE)

    @get("/versions/{version:str}", opt=documented("Read it as it was", answer=EntityView, is_tagged=True))
    async def version(
        self,
        request: HttpRequest,
        id: FromPath[str],
        version: FromPath[str],
        versioned: NamedDependency[Versioned],
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        entity = await versioned.load(actor, known_id(id), version=known_version(version))
        return entity_answer(request, entity)

    @get("/diff", opt=documented("Compare two versions", answer=DiffView, query=DiffQuery))
    async def diff(
        self, request: HttpRequest, id: FromPath[str], versioned: NamedDependency[Versioned]
    ) -> Answer:
        actor = actor_of(request)
        query = read_query(request, DiffQuery)
        before = shown(await versioned.load(actor, known_id(id), version=query.from_))
        after = shown(await versioned.load(actor, id, version=query.to))
        changes = msgspec.convert(changes_between(before, after), dict[str, ChangeView])
        return view_answer(DiffView(query.from_, query.to, changes), headers=NO_STORE)

    @post(
        "/rollback",
        status_code=200,
        opt=documented(
            "Put an earlier version back, as a new one",
            answer=EntityView,
            body=RollbackBody,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def roll_back(
        self, request: HttpRequest, id: FromPath[str], versioned: NamedDependency[Versioned]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        body = await read_body(request, RollbackBody)
        return await versioned.writing.change(
            request,
            actor,
            id,
            load=versioned.load,
            run=lambda claimed, expected: versioned.roll_back(
                claimed, id, version=body.version, expected_version=expected
            ),
        )
