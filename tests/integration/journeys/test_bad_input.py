"""Bad input: a clear answer each time, and nothing changed in any store.

A body that is wrong by itself never reaches a store, so one store mode is enough for it; what the stored state rejects
is tried in every mode.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from adapters.observability.store_metrics import NAME as STORE_OPERATIONS
from tests.data.bodies import BAD_TASKS, MALFORMED
from tests.data.names import BAD_NAMES, COMPOSED, DECOMPOSED
from tests.integration.journeys.rejected_requests import CODES, ID, REJECTED_REQUESTS, RejectedRequest
from tests.integration.journeys.service import JourneyService, Person
from tests.integration.journeys.topologies import MODES
from tests.unit.entrypoints.http.service import Json, pointers

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROBLEM_FIELDS: Final = {"type", "title", "status", "detail", "instance", "code", "requestId"}
# What only somebody inside knows: drivers, stores, statements, places, code.
NOBODYS_BUSINESS: Final = (
    "psycopg", "pymongo", "sqlalchemy", "montydb", "postgres", "monty", "traceback", "insert into", "127.0.0.1",
    "/tmp", ".py", "msgspec",
)  # fmt: skip
WRONG_BY_ITSELF: Final = frozenset({400, 405, 413, 415})
REJECTED_BEFORE_A_STORE: Final = [wrong for wrong in REJECTED_REQUESTS if wrong.status in WRONG_BY_ITSELF]
REJECTED_BY_A_STORE: Final = [wrong for wrong in REJECTED_REQUESTS if wrong.status not in WRONG_BY_ITSELF]
in_one_mode: Final = pytest.mark.parametrize("service", [MODES[0]], indirect=True)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def gardener(service: JourneyService) -> Person:
    """Somebody with a project that nothing here may change."""
    return await service.newcomer()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def project(service: JourneyService, gardener: Person) -> Json:
    """The gardener's project, at version 2, with a timeline."""
    made = await service.view(gardener, "POST", "/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{made['id']}"
    await service.view(gardener, "PUT", f"{path}/timeline", {"items": [{"id": "a"}]})
    return await service.view(gardener, "PATCH", path, {"description": "Beds"})


@pytest_asyncio.fixture(loop_scope="session")
async def no_store_call(service: JourneyService) -> AsyncIterator[None]:
    """Fails a test during which any store was called, by the service's own counters."""
    before = await _store_calls(service)
    assert before, "nothing is counted, so nothing is proven"
    yield
    assert await _store_calls(service) == before


async def _store_calls(service: JourneyService) -> list[str]:
    """The number of calls of each store operation, as Prometheus reads them."""
    answer = await service.call(None, "GET", "/metrics", expect=200)
    return [line for line in answer.text.splitlines() if line.startswith(f"{STORE_OPERATIONS}_count")]


def require_problem(answer: httpx.Response, *, status: int, code: str) -> None:
    """The one shape of errors, with nothing in it that is nobody's business."""
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem.keys() - {"errors", "currentVersion"} == PROBLEM_FIELDS
    assert problem["type"].endswith(f"/{code}")
    assert problem["requestId"] == answer.headers["x-request-id"]
    assert problem["instance"] == answer.request.url.path
    assert all(set(fault) == {"pointer", "message"} for fault in problem.get("errors", []))
    said = answer.text.lower()
    assert [word for word in NOBODYS_BUSINESS if word in said] == []


@in_one_mode
@pytest.mark.usefixtures("project", "no_store_call")
@pytest.mark.parametrize(
    ("raw", "expected"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED]
)
async def test_a_malformed_body_calls_no_store(
    service: JourneyService, gardener: Person, project: Json, raw: bytes, expected: list[str]
) -> None:
    created = await service.call(gardener, "POST", "/v1/projects", raw=raw)

    require_problem(created, status=400, code="invalid")
    assert pointers(created) == expected
    # Too little for a new project, and enough for a change of nothing.
    if raw != b"{}":
        patched = await service.call(gardener, "PATCH", f"/v1/projects/{project['id']}", raw=raw)
        require_problem(patched, status=400, code="invalid")


@in_one_mode
@pytest.mark.usefixtures("gardener", "no_store_call")
@pytest.mark.parametrize(
    ("body", "expected"), [row[1:] for row in BAD_TASKS], ids=[row[0] for row in BAD_TASKS]
)
async def test_a_bad_task_calls_no_store(
    service: JourneyService, gardener: Person, body: Any, expected: list[str]
) -> None:
    rejected = await service.call(gardener, "POST", "/v1/tasks", body)

    require_problem(rejected, status=400, code="invalid")
    assert pointers(rejected) == expected


async def require_rejected(
    service: JourneyService, person: Person, project: Json, wrong: RejectedRequest
) -> None:
    """Sends a request that must be rejected, and checks the answer."""
    path = wrong.path.replace(ID, project["id"])
    rejected = await service.call(person, wrong.method, path, **wrong.given)
    require_problem(rejected, status=wrong.status, code=CODES[wrong.status])
    assert sorted(pointers(rejected)) == sorted(wrong.at)


@in_one_mode
@pytest.mark.usefixtures("project", "no_store_call")
@pytest.mark.parametrize("wrong", REJECTED_BEFORE_A_STORE, ids=lambda wrong: wrong.what)
async def test_a_request_that_is_wrong_by_itself_calls_no_store(
    service: JourneyService, gardener: Person, project: Json, wrong: RejectedRequest
) -> None:
    await require_rejected(service, gardener, project, wrong)


@pytest.mark.parametrize("wrong", REJECTED_BY_A_STORE, ids=lambda wrong: wrong.what)
async def test_a_request_that_the_stored_state_rejects_changes_no_store(
    service: JourneyService, gardener: Person, project: Json, wrong: RejectedRequest
) -> None:
    before = await service.stored()
    await require_rejected(service, gardener, project, wrong)
    assert await service.stored() == before


@in_one_mode
@pytest.mark.parametrize("name", [row[1] for row in BAD_NAMES], ids=[row[0] for row in BAD_NAMES])
async def test_a_name_with_invisible_or_turning_characters_changes_no_store(
    service: JourneyService, gardener: Person, project: Json, name: str
) -> None:
    before = await service.stored()

    for path in ("/v1/projects", "/v1/labels", "/v1/teams"):
        require_problem(
            await service.call(gardener, "POST", path, {"name": name}), status=422, code="rule_broken"
        )
    changed = await service.call(gardener, "PATCH", f"/v1/projects/{project['id']}", {"name": name})
    profile = await service.call(gardener, "PATCH", f"/v1/users/{gardener.id}", {"name": name})

    for refused in (changed, profile):
        require_problem(refused, status=422, code="rule_broken")
        assert pointers(refused) == ["/name"]
    assert await service.stored() == before


async def test_the_other_spelling_of_a_name_is_taken_in_every_store(
    service: JourneyService, anna: Person
) -> None:
    made = await service.view(anna, "POST", "/v1/projects", {"name": DECOMPOSED})
    before = await service.stored()

    refused = await service.call(anna, "POST", "/v1/projects", {"name": COMPOSED})

    assert made["name"] == COMPOSED
    require_problem(refused, status=409, code="already_exists")
    assert await service.stored() == before


async def test_a_cursor_that_was_changed_or_belongs_elsewhere_is_refused(
    service: JourneyService, anna: Person
) -> None:
    for name in ("Garden", "Park"):
        await service.view(anna, "POST", "/v1/projects", {"name": name})
    cursor: str = (await service.view(anna, "GET", "/v1/projects?limit=1"))["nextCursor"]
    changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    before = await service.stored()

    assert len(await service.items(anna, f"/v1/projects?cursor={cursor}")) == 1
    for path in (
        f"/v1/projects?cursor={changed}",
        f"/v1/projects?cursor={cursor}&sort=name",
        f"/v1/projects?cursor={cursor}&q=park",
        f"/v1/tasks?cursor={cursor}",
    ):
        refused = await service.call(anna, "GET", path)
        require_problem(refused, status=400, code="invalid")
        assert pointers(refused) == ["/cursor"]
    assert await service.stored() == before


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_request_without_a_valid_token_changes_no_store(
    service: JourneyService, project: Json, token: str
) -> None:
    nobody = Person("f" * 24, "nobody@example.org", token)
    before = await service.stored()

    for method, path in (("GET", "/v1/projects"), ("DELETE", f"/v1/projects/{project['id']}")):
        require_problem(await service.call(nobody, method, path), status=401, code="unauthenticated")
    assert await service.stored() == before
