"""Bad input in every store mode: a clear answer each time, and nothing changed in any store."""

from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.integration.journeys.rejected_requests import CODES, ID, REJECTED_REQUESTS, RejectedRequest
from tests.integration.journeys.service import JourneyService, Person
from tests.unit.domain.test_name import BAD_NAMES, COMPOSED, DECOMPOSED
from tests.unit.entrypoints.http.service import Json, pointers
from tests.unit.entrypoints.http.test_bodies import BAD_TASKS, MALFORMED

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROBLEM_FIELDS: Final = {"type", "title", "status", "detail", "instance", "code", "requestId"}
# What only somebody inside knows: drivers, stores, statements, places, code.
NOBODYS_BUSINESS: Final = (
    "psycopg", "pymongo", "sqlalchemy", "montydb", "postgres", "monty", "traceback", "insert into", "127.0.0.1",
    "/tmp", ".py", "msgspec",
)  # fmt: skip
EMPTY_PATCH: Final = b"{}"
"""Too little for a new project, and enough for a change of nothing."""


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


@pytest.mark.parametrize(
    ("raw", "expected"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED]
)
async def test_a_malformed_body_changes_no_store(
    service: JourneyService, gardener: Person, project: Json, raw: bytes, expected: list[str]
) -> None:
    before = await service.stored()

    created = await service.call(gardener, "POST", "/v1/projects", raw=raw)
    patched = await service.call(gardener, "PATCH", f"/v1/projects/{project['id']}", raw=raw)

    require_problem(created, status=400, code="invalid")
    assert pointers(created) == expected
    if raw != EMPTY_PATCH:
        require_problem(patched, status=400, code="invalid")
    assert await service.stored() == before


@pytest.mark.parametrize(
    ("body", "expected"), [row[1:] for row in BAD_TASKS], ids=[row[0] for row in BAD_TASKS]
)
async def test_a_bad_task_changes_no_store(
    service: JourneyService, gardener: Person, body: Any, expected: list[str]
) -> None:
    before = await service.stored()

    refused = await service.call(gardener, "POST", "/v1/tasks", body)

    require_problem(refused, status=400, code="invalid")
    assert pointers(refused) == expected
    assert await service.stored() == before


@pytest.mark.parametrize("wrong", REJECTED_REQUESTS, ids=lambda wrong: wrong.what)
async def test_what_is_refused_changes_no_store(
    service: JourneyService, gardener: Person, project: Json, wrong: RejectedRequest
) -> None:
    before = await service.stored()

    path = wrong.path.replace(ID, project["id"])
    refused = await service.call(gardener, wrong.method, path, **wrong.given)

    require_problem(refused, status=wrong.status, code=CODES[wrong.status])
    assert sorted(pointers(refused)) == sorted(wrong.at)
    assert await service.stored() == before


@pytest.mark.parametrize("name", [row[1] for row in BAD_NAMES], ids=[row[0] for row in BAD_NAMES])
async def test_a_name_that_hides_or_turns_something_changes_no_store(
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
async def test_who_cannot_prove_who_he_is_changes_no_store(
    service: JourneyService, project: Json, token: str
) -> None:
    nobody = Person("f" * 24, "nobody@example.org", token)
    before = await service.stored()

    for method, path in (("GET", "/v1/projects"), ("DELETE", f"/v1/projects/{project['id']}")):
        require_problem(await service.call(nobody, method, path), status=401, code="unauthenticated")
    assert await service.stored() == before
