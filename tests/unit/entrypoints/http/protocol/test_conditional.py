import json
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
    ("1", 200),
    ('"1', 200),
    ("", 200),
]


@pytest.mark.parametrize(("tags", "status"), SEEN)
async def test_readers_who_have_this_version_are_spared_the_body(
    service: Service, tags: str, status: int
) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})

    answer = await service.call("GET", f"/v1/projects/{made['id']}", If_None_Match=tags)

    assert answer.status_code == status
    assert answer.headers["etag"] == '"1"'
    assert (answer.content == b"") == (status == 304)


MATCHES = [('"2"', 200), ("*", 200), ('"1", "2"', 200), (' "2" ,', 200), ('"x,y", "2"', 200)]
STALE = ['"1"', 'W/"2"', '"02"', '"abc"', '""', '"1", "3"', '"99999999999999999999"']
MALFORMED = ["2", '"2', "'2'", '"2" "3"', '*, "2"', '"a b"', ",", '"2";x']


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

    refused = await service.call("DELETE", path, If_Match=tags)

    assert (refused.status_code, pointers(refused)) == (400, ["/If-Match"])
    assert await service.stored() == before


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

    refused = await service.call(method, address, {}, by=ADMIN, If_Match="*")

    assert (refused.status_code, pointers(refused)) == (400, ["/If-Match"]), refused.text
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
