import pytest

from tests.unit.entrypoints.http.service import Service, pointers

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
    ("/v1/tasks", "q=%20", ["/q"]),
    ("/v1/tasks", "q=_%25_", ["/q"]),
    ("/v1/users", "search=.*", ["/search"]),
    ("/v1/users", "search=@", ["/search"]),
    *((f"/v1/{name}", "sort=relevance", ["/sort"]) for name in ("projects", "tasks", "teams", "labels")),
    ("/v1/tasks", "q=&sort=relevance", ["/sort"]),
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
