import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.entrypoints.http.openapi_copy import COPY
from tests.unit.entrypoints.http.service import ADMIN, Service, pointers

ID_PATTERN = "^[0-9a-f]{24}$"

BAD: list[tuple[str, str, list[str]]] = [
    ("/v1/projects", "surprise=1", ["/surprise"]),
    ("/v1/projects", "owner_id=" + "a" * 24, ["/owner_id"]),
    ("/v1/projects", "limit=0", ["/limit"]),
    ("/v1/projects", "limit=201", ["/limit"]),
    ("/v1/projects", "limit=1.5", ["/limit"]),
    ("/v1/projects", "limit=%D9%A1", ["/limit"]),
    ("/v1/projects", "limit=", ["/limit"]),
    ("/v1/projects", "limit=" + "9" * 5_000, ["/limit"]),
    ("/v1/projects", "limit=1&limit=2", ["/limit"]),
    ("/v1/projects", "sort=owner", ["/sort"]),
    ("/v1/projects", "sort=createdAt,name", ["/sort"]),
    ("/v1/projects", "status=active", ["/status"]),
    ("/v1/projects", "ownerId=me", ["/ownerId"]),
    ("/v1/projects", "count=true", ["/count"]),
    ("/v1/projects", "q=" + "x" * 501, ["/q"]),
    ("/v1/projects", "q=%00", ["/q"]),
    ("/v1/projects", "q=%ff", ["/"]),
    *((f"/v1/{name}", "q=**", ["/q"]) for name in ("projects", "tasks", "teams", "labels")),
    ("/v1/tasks", "q=.*", ["/q"]),
    ("/v1/tasks", "q=%E2%80%8B", ["/q"]),
    ("/v1/tasks", "createdBy=none", ["/createdBy"]),
    ("/v1/tasks", "createdBy=me,none", ["/createdBy"]),
    ("/v1/tasks", "q=_%25_", ["/q"]),
    ("/v1/users", "search=.*", ["/search"]),
    ("/v1/users", "search=@", ["/search"]),
    *((f"/v1/{name}", "sort=relevance", ["/sort"]) for name in ("projects", "tasks", "teams", "labels")),
    ("/v1/tasks", "q=&sort=relevance", ["/sort"]),
    ("/v1/tasks", "q=%20&sort=relevance", ["/sort"]),
    ("/v1/tasks", "q=roof&sort=-relevance", ["/sort"]),
    ("/v1/tasks/trash", "sort=relevance", ["/sort"]),
    ("/v1/roles", "sort=relevance", ["/sort"]),
    ("/v1/projects", "&".join(f"a{number}=1" for number in range(60)), ["/"]),
    ("/v1/projects", "limit=0&sort=x&y=1", ["/y", "/limit", "/sort"]),
    ("/v1/tasks", "dueBefore=123", ["/dueBefore"]),
    ("/v1/tasks", "dueBefore=2026-01-01T00:00:00.1234Z", ["/dueBefore"]),
    ("/v1/tasks", "dueAfter=0001-01-01T00:00:00%2B23:00", ["/dueAfter"]),
    ("/v1/tasks", "priority=1", ["/priority"]),
    ("/v1/audit", "action=READ", ["/action"]),
    ("/v1/users/me", "x=1", ["/x"]),
    ("/v1/health", "x=1", ["/x"]),
]


@pytest.mark.parametrize(("path", "query", "expected"), BAD, ids=[f"{row[0]}?{row[1][:40]}" for row in BAD])
async def test_bad_parameters_are_named(service: Service, path: str, query: str, expected: list[str]) -> None:
    refused = await service.call("GET", f"{path}?{query}")

    assert (refused.status_code, pointers(refused)) == (400, expected), refused.text


async def test_operations_that_write_know_no_parameters(service: Service) -> None:
    refused = await service.call("POST", "/v1/projects?dryRun=true", {"name": "Garden"})

    assert (refused.status_code, pointers(refused)) == (400, ["/dryRun"])
    assert (await service.stored())["projects"] == []


async def test_a_comparison_needs_both_versions(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})

    for query, missing in (("", ["/from", "/to"]), ("from=1", ["/to"]), ("from=x&to=1", ["/from"])):
        refused = await service.call("GET", f"/v1/projects/{made['id']}/diff?{query}")
        assert (refused.status_code, pointers(refused)) == (400, missing)


async def test_the_word_null_is_a_word(service: Service) -> None:
    await service.made("/v1/projects", {"name": "null"})
    await service.made("/v1/projects", {"name": "Garden"})

    found = (await service.call("GET", "/v1/projects?q=null")).json()["items"]

    assert [item["name"] for item in found] == ["null"]


def parameters(suits: Callable[[Any], bool]) -> list[tuple[str, str, Any]]:
    """Path, name and schema of each query parameter whose schema suits, as the document says."""
    paths = json.loads(COPY.read_text("utf-8"))["paths"]
    return [
        (path, parameter["name"], parameter["schema"])
        for path, operations in paths.items()
        for parameter in operations.get("get", {}).get("parameters", [])
        if parameter["in"] == "query" and suits(parameter["schema"])
    ]


async def messages(service: Service, path: str, query: str) -> dict[str, str]:
    address = path.replace("{id}", "a" * 24).replace("{collection}", "tasks")
    refused = await service.call("GET", f"{address}?{query}", by=ADMIN)
    assert refused.status_code == 400, refused.text
    return {fault["pointer"]: fault["message"] for fault in refused.json()["errors"]}


@pytest.mark.parametrize(("path", "name", "schema"), parameters(lambda schema: "enum" in schema))
async def test_a_parameter_with_a_fixed_set_of_values_names_them(
    service: Service, path: str, name: str, schema: Any
) -> None:
    for nonsense in ("nonsense", ""):
        told = (await messages(service, path, f"{name}={nonsense}"))[f"/{name}"]
        assert told.startswith("must be one of "), told
        assert sorted(told.removeprefix("must be one of ").split(", ")) == sorted(schema["enum"])


async def test_an_import_names_the_formats_it_reads(service: Service) -> None:
    refused = await service.call("POST", "/v1/imports?format=trello", raw=b"{}", kind="text/plain")

    assert refused.status_code == 400
    assert refused.json()["errors"] == [{"pointer": "/format", "message": "must be one of beads"}]


@pytest.mark.parametrize(
    ("path", "name", "schema"), parameters(lambda schema: schema.get("pattern") == ID_PATTERN)
)
async def test_a_parameter_that_is_an_id_says_what_an_id_is(
    service: Service, path: str, name: str, schema: Any
) -> None:
    for nonsense in ("zz", "", "A" * 24, "a" * 25, "a" * 23 + "g"):
        told = (await messages(service, path, f"{name}={nonsense}"))[f"/{name}"]
        assert told == "must be an id: 24 lower-case hexadecimal digits", nonsense


async def test_what_can_be_shown_beside_a_task_is_named(service: Service) -> None:
    told = await messages(service, "/v1/tasks", "expand=everything&sort=title&count=yes")

    assert told["/expand"] == "must be one or more of labels, assignee, separated by commas"
    assert told["/count"] == "must be one of exact"
    assert told["/sort"].startswith("must be one of createdAt, -createdAt, displayId")
