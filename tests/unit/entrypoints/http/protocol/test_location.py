"""Location of a 201 leads to what was made."""

from functools import partial

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.actor import Actor
from application.history.audit import FindAnswer
from domain.label import Label
from entrypoints.http.labels import LABELS, LabelView
from entrypoints.http.protocol.cursors import Cursors, Pages
from entrypoints.http.protocol.endpoint import Conventions, Endpoint
from entrypoints.http.protocol.operation import Controller, operation, operations_of
from entrypoints.http.protocol.request import Request
from entrypoints.http.protocol.resource import views_of
from entrypoints.http.protocol.writes import Writes
from tests.unit.builders import ANNA, actor, label, numbered_id
from tests.unit.memory_store import MemoryRecordStore


class Anna:
    """The port CallerReader: every request is hers."""

    async def actor(self, request: Request) -> Actor:
        return actor(request_id=request.request_id)

    def caller(self, request: Request) -> str:
        return f"{ANNA} {request.request_id}"


class DrawerController(Controller, path="/v1/drawers/{id}"):
    """What can be made in a drawer."""

    @operation("POST", "/labels", status=201, view=LabelView)
    async def create(self, actor: Actor, id: str) -> Label:
        return label(7, name=id, by=actor.id)

    @operation("POST", "/shared-labels", status=201, view=LabelView, location="/v1/labels")
    async def create_shared(self, actor: Actor, id: str) -> Label:
        return label(7, name=id, by=actor.id)


@pytest.fixture
def conventions() -> Conventions:
    begin = partial(StoredUnitOfWork, MemoryRecordStore(), SortableIdentifiers())
    return Conventions(
        views=views_of([LABELS]),
        pages=Pages(Cursors(b"secret")),
        writes=Writes(FindAnswer(begin), needs_versions=False),
        collections=frozenset(),
    )


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/labels", f"/v1/drawers/{numbered_id(1)}/labels/{numbered_id(7)}"),
        ("/shared-labels", f"/v1/labels/{numbered_id(7)}"),
    ],
)
async def test_what_was_made_is_below_the_request_or_where_the_operation_says(
    conventions: Conventions, path: str, address: str
) -> None:
    (declared,) = (each for each in operations_of(DrawerController) if each.path.endswith(f"}}{path}"))
    scope = {
        "method": "POST",
        "path": f"/v1/drawers/{numbered_id(1)}{path}",
        "path_params": {"id": numbered_id(1)},
        "query_string": b"",
        "headers": [],
    }
    request = Request(scope, None, request_id="request-1", authentication=Anna())

    answer = await Endpoint(declared, DrawerController(), conventions)(request)

    assert (answer.status, dict(answer.headers)[b"location"].decode()) == (201, address)
