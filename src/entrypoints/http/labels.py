"""/v1/labels."""

from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from application.actor import Actor
from application.labels import CreateLabel, DeleteLabel, EditLabel, GetLabel, ListLabels, RestoreLabel
from application.paging import Page, PageRequest
from domain import label
from domain.label import Label
from entrypoints.http.protocol.operation import operation
from entrypoints.http.protocol.resource import Resource, shown_as
from entrypoints.http.protocol.schemas import (
    NAMING,
    Body,
    Color,
    EntityView,
    SearchOrder,
    SearchQuery,
    TrashQuery,
    set_fields,
    sort_described,
)
from entrypoints.http.trash import TrashController

LabelName = Annotated[
    str, Meta(min_length=1, max_length=label.NAME_LENGTH_MAX, description=NAMING, examples=["urgent"])
]


class LabelBody(Body):
    """A new label."""

    name: LabelName
    color: Color | UnsetType = UNSET


class LabelPatch(Body):
    """Changes to a label (merge patch)."""

    name: LabelName | UnsetType = UNSET
    color: Color | UnsetType = UNSET


class LabelView(EntityView):
    """A label."""

    name: str
    color: str


class LabelQuery(SearchQuery):
    """Filters and order of labels."""

    usual_order: ClassVar[str] = "name"

    sort: Annotated[SearchOrder, sort_described("name")] | None = None


class LabelController(TrashController, path="/v1/labels", collection="labels", view=LabelView):
    """Labels, which have a trash but no version history."""

    get: GetLabel
    delete: DeleteLabel
    restore: RestoreLabel
    create_label: CreateLabel
    list_labels: ListLabels
    edit_label: EditLabel

    @operation("POST", summary="Create a label", status=201, view=LabelView, repeatable=True)
    async def create(self, actor: Actor, body: LabelBody) -> Label:
        return await self.create_label(actor, set_fields(body))

    @operation("GET", summary="List labels", page_of=LabelView)
    async def list_all(self, actor: Actor, query: LabelQuery, page: PageRequest) -> Page[Label]:
        return await self.list_labels(actor, query.text, page)

    @operation("GET", "/trash", summary="List deleted labels", page_of=LabelView, query=TrashQuery)
    async def trash(self, actor: Actor, page: PageRequest) -> Page[Label]:
        return await self.list_labels(actor, None, page, deleted=True)

    @operation("GET", "/{id}", summary="Read a label", view=LabelView)
    async def read(self, actor: Actor, id: str) -> Label:
        return await self.get(actor, id)

    @operation("PATCH", "/{id}", summary="Change a label", view=LabelView, repeatable=True, also=(403,))
    async def change(self, actor: Actor, id: str, body: LabelPatch, expected: int | None) -> Label:
        return await self.edit_label(actor, id, set_fields(body), expected_version=expected)


LABELS = Resource(
    controllers=(LabelController,), collection="labels", view=LabelView, views=shown_as(Label, LabelView)
)
