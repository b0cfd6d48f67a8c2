import json

import pytest
from loguru import logger

from adapters.records.record_store import StoreRefused
from domain import errors
from entrypoints.http.protocol.problems import KINDS, outcome_of
from tests.unit.entrypoints.http.openapi_copy import COPY
from tests.unit.entrypoints.http.service import Service
from tests.unit.memory_store import MemoryRecordStore

PATHS = json.loads(COPY.read_text("utf-8"))["paths"]
STATUSES: list[tuple[type[errors.TandemError], int]] = [
    (errors.NotFound, 404),
    (errors.Purged, 410),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.Conflict, 409),
    (errors.VersionConflict, 409),
    (errors.AlreadyExists, 409),
    (errors.AnswerPending, 409),
    (errors.Invalid, 400),
    (errors.RuleBroken, 422),
    (errors.StoreUnavailable, 503),
    (errors.MirrorPending, 503),
]


class RefusingStore(MemoryRecordStore):
    """Every fetch fails with this error."""

    error: Exception = RuntimeError("postgres://user:secret@10.0.0.1 said no")

    async def fetch(self, collection: str, ids: object) -> dict[str, dict[str, object]]:
        raise self.error


@pytest.fixture(scope="module")
def refusing() -> Service:
    return Service(RefusingStore())


@pytest.mark.parametrize(("kind", "status"), STATUSES)
async def test_each_error_has_its_status_in_one_shape(
    refusing: Service, kind: type[errors.TandemError], status: int
) -> None:
    refusing.store.error = kind()

    answer = await refusing.call("GET", f"/v1/projects/{'a' * 24}", X_Request_ID="r-1")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": f"/problems/{kind.code}",
        "title": outcome_of(kind).title,
        "status": status,
        "detail": kind().message,
        "instance": f"/v1/projects/{'a' * 24}",
        "code": kind.code,
        "requestId": "r-1",
    }
    assert ("retry-after" in answer.headers) == (status == 503)
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_an_unknown_kind_of_error_is_answered_like_its_parent() -> None:
    class TooLate(errors.Conflict):
        code = "too_late"

    assert outcome_of(TooLate).status == 409


async def test_a_fault_of_ours_is_logged_with_the_request_id_and_shown_without_detail(
    refusing: Service,
) -> None:
    refusing.store.error = RuntimeError("postgres://user:secret@10.0.0.1 said no")
    events: list[str] = []
    sink = logger.add(lambda message: events.append(str(message)), format="{extra[request_id]} {message}")
    try:
        answer = await refusing.call("GET", f"/v1/projects/{'a' * 24}", X_Request_ID="r-2")
    finally:
        logger.remove(sink)

    assert (answer.status_code, answer.json()["code"], answer.json()["requestId"]) == (500, "internal", "r-2")
    assert "secret" not in answer.text
    assert "10.0.0.1" not in answer.text
    assert any(event.startswith("r-2 Unexpected RuntimeError at GET /v1/projects/{id}") for event in events)


async def test_addresses_that_do_not_exist_are_not_found(service: Service) -> None:
    for path in (
        "/nope",
        "/v1",
        "/v1/projects/trash/x",
        "/v2/projects",
        "/assets/../app.py",
        "/assets/home.html",
    ):
        answer = await service.call("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


async def test_other_methods_are_refused_with_those_allowed(service: Service) -> None:
    answer = await service.call("DELETE", "/v1/projects")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await service.call("BREW", "/v1/projects")).status_code == 405


@pytest.mark.parametrize("path", sorted(PATHS))
async def test_an_address_names_all_its_methods_however_it_is_asked(service: Service, path: str) -> None:
    address = path.replace("{id}", "a" * 24).replace("{collection}", "tasks").replace("{version}", "1")
    documented = {method.upper() for method in PATHS[path]}

    told = await service.client.options(address)
    refused = await service.call("BREW", address)

    assert (told.status_code, told.content, refused.status_code) == (204, b"", 405)
    assert told.headers["allow"] == refused.headers["allow"]
    assert set(told.headers["allow"].split(", ")) - {"HEAD", "OPTIONS"} == documented


async def test_an_address_that_does_not_exist_names_no_methods(service: Service) -> None:
    answer = await service.client.options("/v1/nothing")
    assert (answer.status_code, "allow" in answer.headers) == (404, False)


async def test_every_kind_of_problem_is_explained_at_its_type(service: Service) -> None:
    overview = (await service.call("GET", "/problems")).text

    for kind in KINDS:
        page = await service.call("GET", f"/problems/{kind.code}")
        assert page.status_code == 200
        assert str(outcome_of(kind).status) in page.text
        assert f'href="/problems/{kind.code}"' in overview
    assert (await service.call("GET", "/problems/unheard_of")).status_code == 404


async def test_strange_paths_are_answered_in_the_one_shape(service: Service) -> None:
    for path in ("/v1/tasks/%ff", "/v1/tasks/%ed%a0%80", "/v1/tasks/a%0ab", '/v1/tasks/"<x>'):
        answer = await service.call("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


CONFLICTS: list[tuple[str, str, str | None, tuple[int, int | None]]] = [
    ("tasks", "b" * 24, '"1"', (409, None)),
    ("tasks", "b" * 24, None, (409, None)),
    ("projects", "b" * 24, '"1"', (409, None)),
    ("timelines", "a" * 24, '"1"', (409, None)),
    ("projects", "a" * 24, '"1"', (412, 7)),
    ("projects", "a" * 24, None, (409, 7)),
    ("projects", "a" * 24, "*", (409, 7)),
]


@pytest.mark.parametrize(("collection", "entity_id", "named", "outcome"), CONFLICTS)
async def test_only_what_the_address_names_can_be_stale_and_tells_its_version(
    refusing: Service, collection: str, entity_id: str, named: str | None, outcome: tuple[int, int | None]
) -> None:
    refusing.store.error = errors.VersionConflict(
        current_version=7, collection=collection, entity_id=entity_id
    )
    conditions = {} if named is None else {"If_Match": named}

    answer = await refusing.call("DELETE", f"/v1/projects/{'a' * 24}", **conditions)

    assert (answer.status_code, answer.json().get("currentVersion")) == outcome
    assert answer.json()["code"] == "version_conflict"


async def test_a_store_that_must_not_be_used_is_unavailable_with_its_reason(refusing: Service) -> None:
    refusing.store.error = StoreRefused("The server at /var/lib/pg is a standby.", remedy="Name the primary.")
    answer = await refusing.call("GET", f"/v1/projects/{'a' * 24}")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "The server at … is a standby. Name the primary."
