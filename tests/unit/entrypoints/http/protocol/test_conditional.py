import json
from itertools import product
from typing import Any

import pytest

from tests.unit.entrypoints.http.openapi_copy import COPY
from tests.unit.entrypoints.http.service import ADMIN, Service, pointers

SEEN = [
    ('"1"', 304),
    ('W/"1"', 304),
    ('"7", "1"', 304),
    ("*", 304),
    ('"2"', 200),
    ('"1-gz"', 304),
    ('W/"1-gz"', 304),
    (' , "2" ,, "1" ,', 304),
    ('"01"', 200),
    ('"1-gz-gz"', 200),
]


@pytest.mark.parametrize(("tags", "status"), SEEN)
async def test_readers_who_have_this_version_are_spared_the_body(
    service: Service, tags: str, status: int
) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})

    answer = await service.call("GET", f"/v1/projects/{made['id']}", If_None_Match=tags)

    assert answer.status_code == status
    assert answer.headers["etag"] == ('"1-gz"' if "1-gz" in tags and status == 304 else '"1"')
    assert (answer.content == b"") == (status == 304)


MATCHES = [
    ('"2"', 200),
    ("*", 200),
    ('"2-gz"', 200),
    ('W/"2", "2-gz"', 200),
    ('"1", "2"', 200),
    (' "2" ,', 200),
    ('"x,y", "2"', 200),
]
STALE = ['"1"', 'W/"2"', '"02"', '"abc"', '""', '"1", "3"', '"99999999999999999999"', 'W/"2-gz"', '"2-GZ"']
MALFORMED = ["", "2", '"2', "'2'", '"2" "3"', '*, "2"', '"a b"', ",", '"2";x']


async def second_version(service: Service) -> str:
    made = await service.made("/v1/projects", {"name": "Garden"})
    await service.call("PATCH", f"/v1/projects/{made['id']}", {"name": "Park"})
    return f"/v1/projects/{made['id']}"


@pytest.mark.parametrize(("tags", "status"), MATCHES)
async def test_writers_who_name_the_current_version_write(service: Service, tags: str, status: int) -> None:
    path = await second_version(service)

    changed = await service.call("PATCH", path, {"name": "Meadow"}, If_Match=tags)

    assert (changed.status_code, changed.json()["version"]) == (status, 3)


@pytest.mark.parametrize("tags", STALE)
async def test_writers_who_name_another_version_change_nothing(service: Service, tags: str) -> None:
    path = await second_version(service)
    before = await service.stored()

    for method, suffix, body in WRITES:
        refused = await service.call(method, f"{path}{suffix}", body, If_Match=tags)
        assert refused.status_code == 412, (method, suffix, refused.text)
        assert (refused.json()["code"], refused.json()["currentVersion"]) == ("version_conflict", 2)
    assert await service.stored() == before


WRITES: list[tuple[str, str, Any]] = [
    ("PATCH", "", {"name": "Meadow"}),
    ("DELETE", "", None),
    ("POST", "/restore", None),
    ("POST", "/rollback", {"version": 1}),
]


@pytest.mark.parametrize("tags", MALFORMED)
async def test_malformed_conditions_are_refused(service: Service, tags: str) -> None:
    path = await second_version(service)
    before = await service.stored()

    for method, name in product(("GET", "DELETE"), ("If-Match", "If-None-Match")):
        refused = await service.call(method, path, **{name: tags})
        assert (refused.status_code, pointers(refused)) == (400, [f"/{name}"]), (method, name)
    assert await service.stored() == before


@pytest.mark.parametrize(("tags", "status"), [*MATCHES, *[(tag, 412) for tag in STALE]])
async def test_readers_may_require_a_version(service: Service, tags: str, status: int) -> None:
    path = await second_version(service)

    answer = await service.call("GET", path, If_Match=tags)

    assert answer.status_code == status
    assert status == 200 or answer.json()["currentVersion"] == 2


EXCLUDING = ["*", '"2"', 'W/"2"', '"2-gz"', '"1", "2"']


@pytest.mark.parametrize("tags", EXCLUDING)
@pytest.mark.parametrize("required", [None, '"2"', "*"])
async def test_a_change_that_excludes_the_current_version_changes_nothing(
    service: Service, tags: str, required: str | None
) -> None:
    path = await second_version(service)
    before = await service.stored()
    more = {} if required is None else {"If_Match": required}

    for method, suffix, body in WRITES:
        refused = await service.call(method, f"{path}{suffix}", body, If_None_Match=tags, **more)
        assert (refused.status_code, refused.json()["currentVersion"]) == (412, 2), (method, suffix)
    assert await service.stored() == before


async def test_a_schedule_that_exists_is_not_replaced_if_none_may_exist(service: Service) -> None:
    project = await service.made("/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{project['id']}/timeline"
    await service.call("PUT", path, {"items": [{"id": "a"}]})
    before = await service.stored()

    for method in ("PUT", "PATCH"):
        assert (await service.call(method, path, {"items": []}, If_None_Match="*")).status_code == 412
    assert await service.stored() == before


async def test_a_change_that_excludes_other_versions_is_made(service: Service) -> None:
    path = await second_version(service)

    changed = await service.call("PATCH", path, {"name": "Meadow"}, If_None_Match='"1", W/"7"')

    assert (changed.status_code, changed.json()["version"]) == (200, 3)


async def test_if_match_is_evaluated_before_if_none_match(service: Service) -> None:
    path = await second_version(service)

    read = await service.call("GET", path, If_Match='"1"', If_None_Match='"2"')
    changed = await service.call("PATCH", path, {"name": "Meadow"}, If_Match='"1"', If_None_Match='"1"')

    assert (read.status_code, changed.status_code) == (412, 412)
    assert "If-None-Match" not in changed.json()["detail"]
    assert (await service.call("GET", path, If_Match='"2"', If_None_Match='"2"')).status_code == 304


async def test_writers_may_be_obliged_to_name_a_version() -> None:
    service = Service(REQUIRE_IF_MATCH="true")
    made = await service.made("/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{made['id']}"
    before = await service.stored()

    for method, suffix, body in [*WRITES, ("PUT", "/timeline", {}), ("PATCH", "/timeline", {})]:
        refused = await service.call(method, f"{path}{suffix}", body)
        assert (refused.status_code, refused.json()["code"]) == (428, "precondition_required"), (
            method,
            suffix,
        )
    assert await service.stored() == before
    assert (await service.call("DELETE", path, If_Match='"1"')).status_code == 204


def unguarded() -> list[tuple[str, str]]:
    """Method and path of what changes something and hears no If-Match, as the document says."""
    paths = json.loads(COPY.read_text("utf-8"))["paths"]
    return [
        (method.upper(), path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method != "get" and "If-Match" not in [one["name"] for one in operation["parameters"]]
    ]


@pytest.mark.parametrize(("method", "path"), unguarded())
async def test_a_condition_that_would_not_be_heard_is_refused(
    service: Service, method: str, path: str
) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"})
    await service.give_account(ADMIN, "admin")
    before = await service.stored()
    address = path.replace("{id}", made["id"]).replace("{collection}", "tasks")

    for name in ("If-Match", "If-None-Match"):
        refused = await service.call(method, address, {}, by=ADMIN, **{name: "*"})
        assert (refused.status_code, pointers(refused)) == (400, [f"/{name}"]), refused.text
    assert await service.stored() == before


@pytest.mark.parametrize(("method", "path"), [each for each in unguarded() if "/auth/" not in each[1]])
async def test_a_stranger_is_asked_to_sign_in_before_his_condition_is_looked_at(
    service: Service, method: str, path: str
) -> None:
    before = await service.stored()
    address = path.replace("{id}", "a" * 24).replace("{collection}", "tasks")

    refused = await service.client.request(method, address, json={}, headers={"If-Match": "*"})

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated"), refused.text
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert await service.stored() == before


async def test_a_cookie_from_a_foreign_page_is_refused_before_its_condition_is_looked_at(
    service: Service,
) -> None:
    before = await service.stored()
    token = service.headers()["Authorization"].removeprefix("Bearer ")
    headers = {"If-Match": "*", "Origin": "https://foreign.example", "Cookie": f"tandem-access={token}"}

    refused = await service.client.post("/v1/labels", json={"name": "a"}, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (403, "cross_site_refused"), refused.text
    assert await service.stored() == before


async def test_what_means_no_version_is_asked_for_none_where_writers_are_obliged() -> None:
    service = Service(REQUIRE_IF_MATCH="true")
    made = await service.made("/v1/tasks", {"title": "Dig"})

    watched = await service.call("PUT", f"/v1/watchlist/{made['id']}")
    given_up = await service.call("DELETE", f"/v1/watchlist/{made['id']}")

    assert (watched.status_code, given_up.status_code) == (200, 204)
