"""/v1/labels."""

from collections.abc import Mapping
from typing import Any, cast

from litestar import get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.types import AnyCallable

from domain.label import LabelChanges
from entrypoints.http.addresses import known_id
from entrypoints.http.desks import LabelDesk
from entrypoints.http.projects.schemas import LabelBody, LabelPatch, set_fields
from entrypoints.http.protocol.answers import Answer, HttpRequest, entity_answer, view_of
from entrypoints.http.protocol.input import read_body, read_patch
from entrypoints.http.protocol.operation import VIEW, documented
from entrypoints.http.queries import LabelQuery, TrashQuery, read_query, require_no_query
from entrypoints.http.searching import order_of
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.trash import Trashable, TrashController
from entrypoints.http.views import LabelView

PATH = "/v1/labels"


def _trashable(labels: NamedDependency[LabelDesk]) -> Trashable:
    return Trashable(load=labels.get, delete=labels.delete, restore=labels.restore, writing=labels.writing)


class LabelController(TrashController):
    """Labels, which have a trash and no version contract."""

    path = PATH
    opt: Mapping[str, Any] | None = {VIEW: LabelView}
    dependencies: Mapping[str, Provide | AnyCallable] | None = {
        "trashable": Provide(_trashable, sync_to_thread=False)
    }

    @post(
        opt=documented(
            "Create a label", status=201, answer=LabelView, body=LabelBody, is_tagged=True, is_repeatable=True
        )
    )
    async def create(self, request: HttpRequest, labels: NamedDependency[LabelDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = cast("LabelChanges", set_fields(await read_body(request, LabelBody)))
        return await labels.writing.create(
            request, actor, load=labels.get, run=lambda claimed: labels.create(claimed, changes)
        )

    @get(opt=documented("List labels", page_of=LabelView, query=LabelQuery))
    async def list_all(self, request: HttpRequest, labels: NamedDependency[LabelDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, LabelQuery)
        wanted = labels.pages.wanted(request, query, sort=order_of(query))
        return labels.pages.answer(request, await labels.find(actor, query.q or None, wanted), view_of)

    @get("/trash", opt=documented("List deleted labels", page_of=LabelView, query=TrashQuery))
    async def trash(self, request: HttpRequest, labels: NamedDependency[LabelDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, TrashQuery)
        wanted = labels.pages.wanted(request, query, sort=query.sort)
        return labels.pages.answer(request, await labels.find(actor, None, wanted, deleted=True), view_of)

    @get("/{id:str}", opt=documented("Read a label", answer=LabelView, is_tagged=True))
    async def read(
        self, request: HttpRequest, id: FromPath[str], labels: NamedDependency[LabelDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return entity_answer(request, await labels.get(actor, known_id(id)))

    @patch(
        "/{id:str}",
        opt=documented(
            "Change a label",
            answer=LabelView,
            body=LabelPatch,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def change(
        self, request: HttpRequest, id: FromPath[str], labels: NamedDependency[LabelDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = cast("LabelChanges", set_fields(await read_patch(request, LabelPatch)))
        return await labels.writing.change(
            request,
            actor,
            id,
            load=labels.get,
            run=lambda claimed, expected: labels.edit(claimed, id, changes, expected_version=expected),
        )
