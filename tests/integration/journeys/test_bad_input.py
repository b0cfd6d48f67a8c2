"""Bad input while every write is mirrored: a clear answer each time, and nothing changed in either store."""

from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from entrypoints.http.body_reading import BODY_BYTES_MAX
from tests.integration.journeys.arrangements import DUAL
from tests.integration.journeys.service import JourneyService, Person
from tests.unit.entrypoints.http.service import Json, pointers
from tests.unit.entrypoints.http.test_bodies import BAD_TASKS, MALFORMED

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("service", [DUAL], indirect=True),
]

PROBLEM_FIELDS: Final = {"type", "title", "status", "detail", "instance", "code", "requestId"}
# What only somebody inside knows: drivers, stores, statements, places, code.
NOBODYS_BUSINESS: Final = (
    "psycopg", "pymongo", "sqlalchemy", "montydb", "postgres", "monty", "traceback", "insert into", "127.0.0.1",
    "/tmp", ".py", "msgspec",
)  # fmt: skip
BIG: Final = b'{"name": "x", "description": "' + b"y" * BODY_BYTES_MAX + b'"}'
EMPTY_PATCH: Final = b"{}"
"""Too little for a new project, and enough for a change of nothing."""
ID: Final = "{id}"
"""Stands for the id of the gardener's project in the table."""


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
async def test_a_malformed_body_changes_neither_store(
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
async def test_a_bad_task_changes_neither_store(
    service: JourneyService, gardener: Person, body: Any, expected: list[str]
) -> None:
    before = await service.stored()

    refused = await service.call(gardener, "POST", "/v1/tasks", body)

    require_problem(refused, status=400, code="invalid")
    assert pointers(refused) == expected
    assert await service.stored() == before


PROJECT: Final = f"/v1/projects/{ID}"
RENAMED: Final = {"name": "Park"}
# What is wrong, the request, the status, the code, and the pointers.
REFUSED: list[tuple[str, str, str, dict[str, Any], int, str, list[str]]] = [
    ("unknown query parameter", "GET", "/v1/projects?colour=red", {}, 400, "invalid", ["/colour"]),
    ("query where there is none", "POST", "/v1/projects?x=1", {"body": RENAMED}, 400, "invalid", ["/x"]),
    ("query twice", "GET", "/v1/tasks?limit=1&limit=2", {}, 400, "invalid", ["/limit"]),
    ("limit of none", "GET", "/v1/tasks?limit=0", {}, 400, "invalid", ["/limit"]),
    ("limit beyond 200", "GET", "/v1/tasks?limit=201", {}, 400, "invalid", ["/limit"]),
    ("limit that is no number", "GET", "/v1/tasks?limit=many", {}, 400, "invalid", ["/limit"]),
    ("order that is none", "GET", "/v1/tasks?sort=title", {}, 400, "invalid", ["/sort"]),
    ("NUL in words", "GET", "/v1/tasks?q=a%00b", {}, 400, "invalid", ["/q"]),
    ("lone surrogate in words", "GET", "/v1/tasks?q=%ED%A0%80", {}, 400, "invalid", ["/"]),
    ("instant without zone", "GET", "/v1/tasks?dueAfter=2026-01-01T00:00:00", {}, 400, "invalid", ["/dueAfter"]),
    ("id that is none, in a query", "GET", "/v1/tasks?projectId=1", {}, 400, "invalid", ["/projectId"]),
    ("cursor of nobody", "GET", "/v1/tasks?cursor=abc", {}, 400, "invalid", ["/cursor"]),
    ("version beyond 63 bits", "GET", f"{PROJECT}/timeline?version={2**63}", {}, 400, "invalid", ["/version"]),
    ("diff of one", "GET", f"{PROJECT}/diff?from=1", {}, 400, "invalid", ["/to"]),
    ("id that is none", "GET", "/v1/projects/1", {}, 404, "not_found", []),
    ("id with capitals", "PATCH", f"/v1/projects/{'A' * 24}", {"body": RENAMED}, 404, "not_found", []),
    ("id with a NUL", "DELETE", "/v1/projects/%00", {}, 404, "not_found", []),
    ("id nobody has", "DELETE", f"/v1/projects/{'f' * 24}", {}, 404, "not_found", []),
    ("address of nothing", "GET", "/v1/nothing", {}, 404, "not_found", []),
    ("collection of nothing", "GET", f"/v1/sync/status/shoes/{ID}", {}, 404, "not_found", []),
    ("method of nothing", "PUT", PROJECT, {"body": RENAMED}, 405, "method_not_allowed", []),
    ("plain text", "POST", "/v1/projects", {"raw": b"{}", "kind": "text/plain"}, 415, "unsupported_media_type", []),
    ("merge patch that creates", "POST", "/v1/projects", {"body": RENAMED, "kind": "application/merge-patch+json"}, 415, "unsupported_media_type", []),
    ("body over a mebibyte", "POST", "/v1/projects", {"raw": BIG}, 413, "body_too_large", []),
    ("description too long", "POST", "/v1/projects", {"body": {"name": "x", "description": "y" * 10_001}}, 400, "invalid", ["/description"]),
    ("integer beyond 63 bits", "POST", f"{PROJECT}/rollback", {"raw": b'{"version": 9223372036854775808}'}, 400, "invalid", ["/version"]),
    ("If-Match without quotes", "PATCH", PROJECT, {"body": RENAMED, "If_Match": "2"}, 400, "invalid", ["/If-Match"]),
    ("If-Match half open", "DELETE", PROJECT, {"If_Match": '"2'}, 400, "invalid", ["/If-Match"]),
    ("If-Match weak", "PATCH", PROJECT, {"body": RENAMED, "If_Match": 'W/"2"'}, 412, "version_conflict", []),
    ("If-Match of another time", "PATCH", PROJECT, {"body": RENAMED, "If_Match": '"7"'}, 412, "version_conflict", []),
    ("If-Match stale, deleting", "DELETE", PROJECT, {"If_Match": '"1"'}, 412, "version_conflict", []),
    ("key with a space", "POST", "/v1/projects", {"body": RENAMED, "Idempotency_Key": "a b"}, 400, "invalid", ["/Idempotency-Key"]),
    ("key too long", "PATCH", PROJECT, {"body": RENAMED, "Idempotency_Key": "k" * 256}, 400, "invalid", ["/Idempotency-Key"]),
    ("name that is taken", "POST", "/v1/projects", {"body": {"name": "Garden"}}, 409, "already_exists", ["/ownerId", "/name"]),
    ("owner who is nobody", "PATCH", PROJECT, {"body": {"ownerId": "f" * 24}}, 422, "rule_broken", ["/ownerId"]),
    ("version that never was", "POST", f"{PROJECT}/rollback", {"body": {"version": 9}}, 404, "not_found", []),
    ("plan without its items", "PUT", f"{PROJECT}/timeline", {"body": {"dependencies": [{"from": "a", "to": "b"}]}}, 422, "rule_broken", ["/dependencies/0/from", "/dependencies/0/to"]),
    ("not an administrator", "POST", "/v1/sync/failures/retry", {}, 403, "forbidden", []),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSED, ids=[row[0] for row in REFUSED])
async def test_what_is_refused_changes_neither_store(
    service: JourneyService,
    gardener: Person,
    project: Json,
    row: tuple[str, str, str, dict[str, Any], int, str, list[str]],
) -> None:
    _, method, path, given, status, code, expected = row
    before = await service.stored()

    refused = await service.call(gardener, method, path.replace(ID, project["id"]), **given)

    require_problem(refused, status=status, code=code)
    assert sorted(pointers(refused)) == sorted(expected)
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
async def test_who_cannot_prove_who_he_is_changes_neither_store(
    service: JourneyService, project: Json, token: str
) -> None:
    nobody = Person("f" * 24, "nobody@example.org", token)
    before = await service.stored()

    for method, path in (("GET", "/v1/projects"), ("DELETE", f"/v1/projects/{project['id']}")):
        require_problem(await service.call(nobody, method, path), status=401, code="unauthenticated")
    assert await service.stored() == before
