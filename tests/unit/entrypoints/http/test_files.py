"""Files of other trackers over HTTP."""

import json
from typing import Any

import pytest

from application.ports.interchange import CONTENT_BYTES_MAX
from entrypoints.http.protocol.request import BODY_BYTES_MAX
from tests.unit.entrypoints.http.service import ANNA, BEN, Service, pointers

LINES = "application/x-ndjson"
FILE = b"\n".join(
    json.dumps({"status": "open", "priority": 2, "created_at": "2025-10-27T22:55:44Z", **issue}).encode()
    for issue in (
        {"id": "bd-1", "title": "Dig the pond", "labels": ["wet"]},
        {
            "id": "bd-2",
            "title": "Line it",
            "dependencies": [{"type": "parent-child", "depends_on_id": "bd-1"}],
        },
    )
)


async def brought(service: Service, content: bytes, query: str = "", **more: Any) -> Any:
    return await service.call(
        "POST", f"/v1/imports?format=beads{query}", raw=content, kind=more.pop("kind", LINES), **more
    )


@pytest.mark.parametrize("kind", [LINES, "application/octet-stream", "text/plain; charset=utf-8"])
async def test_a_file_becomes_tasks_of_the_caller_and_the_answer_tells_how(
    service: Service, kind: str
) -> None:
    answer = await brought(service, FILE, "&project=Pond", kind=kind)

    report = answer.json()
    assert answer.status_code == 200, answer.text
    assert (report["format"], report["dryRun"], report["newLabels"]) == ("beads", False, ["wet"])
    assert (report["project"]["name"], report["project"]["isNew"]) == ("Pond", True)
    assert {fate: count for fate, count in report["counts"].items() if count} == {"created": 2}
    project = (await service.call("GET", f"/v1/projects/{report['project']['id']}")).json()
    tasks = (await service.call("GET", f"/v1/tasks?projectId={project['id']}")).json()["items"]
    assert project["ownerId"] == ANNA
    assert {task["title"] for task in tasks} == {"Dig the pond", "Line it"}
    assert (await service.call("GET", "/v1/tasks", by=BEN)).json()["items"] == []


async def test_a_dry_run_tells_what_would_be_and_changes_nothing(service: Service) -> None:
    before = await service.stored()

    answer = await brought(service, FILE, "&dryRun=true")

    report = answer.json()
    assert (report["dryRun"], report["project"]["name"], report["counts"]["created"]) == (True, "Beads", 2)
    assert await service.stored() == before


async def test_a_strict_import_with_faults_changes_nothing_and_every_bad_line_is_named(
    service: Service,
) -> None:
    before = await service.stored()

    refused = await brought(service, FILE + b'\n{"id": "bd-3"}\nnonsense', "&strict=true")

    assert refused.status_code == 400
    assert {"/lines/3/title", "/lines/3/status", "/lines/4"} <= set(pointers(refused))
    assert await service.stored() == before


async def test_a_line_that_does_not_fit_is_skipped_and_named(service: Service) -> None:
    faulty = FILE + b'\n{"id": "bd-3", "status": "sleeping"}'

    lenient = await brought(service, faulty)

    assert lenient.status_code == 200
    assert (lenient.json()["counts"]["created"], lenient.json()["counts"]["skipped"]) == (2, 1)
    assert lenient.json()["skipped"][0]["key"] == "bd-3"
    assert "line 3, status" in lenient.json()["skipped"][0]["why"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("", "/format"), ("?format=csv", "/format"), ("?format=beads&project=", "/project")],
)
async def test_a_question_that_does_not_fit_is_refused_with_its_pointer(
    service: Service, query: str, pointer: str
) -> None:
    refused = await service.call("POST", f"/v1/imports{query}", raw=FILE, kind=LINES)
    assert (refused.status_code, pointers(refused)) == (400, [pointer])


@pytest.mark.parametrize("project", ["%E2%80%8B", "%20", "a%00b", "%E2%80%AE", "a%0Ab", "x" * 300])
async def test_the_name_of_the_receiving_project_is_blamed_as_the_parameter_that_holds_it(
    service: Service, project: str
) -> None:
    before = await service.stored()
    refused = await service.call("POST", f"/v1/imports?format=beads&project={project}", raw=FILE, kind=LINES)
    assert refused.status_code in (400, 422)
    assert pointers(refused) == ["/project"]
    assert "/name" not in refused.text
    assert await service.stored() == before


async def test_a_file_beyond_its_bound_is_refused_and_one_beyond_other_bodies_is_not(
    service: Service,
) -> None:
    before = await service.stored()
    refused = await brought(service, FILE.ljust(CONTENT_BYTES_MAX + 1))
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert await service.stored() == before

    assert (await brought(service, FILE.ljust(BODY_BYTES_MAX + 1))).json()["counts"]["created"] == 2


async def test_json_is_no_file_of_lines(service: Service) -> None:
    refused = await brought(service, FILE, kind="application/json")
    assert refused.status_code == 415


async def test_an_export_comes_back_unchanged(service: Service) -> None:
    first = (await brought(service, FILE)).json()
    exported = await service.call("GET", f"/v1/exports?format=beads&projectId={first['project']['id']}")
    assert (exported.status_code, exported.headers["content-type"]) == (200, LINES)
    assert "tandem.jsonl" in exported.headers["content-disposition"]
    before = await service.stored()

    again = (await brought(service, exported.content)).json()

    assert {fate: count for fate, count in again["counts"].items() if count} == {"unchanged": 2}
    assert await service.stored() == before


async def test_an_export_of_what_one_must_not_know_of_is_not_there(service: Service) -> None:
    first = (await brought(service, FILE)).json()

    refused = await service.call(
        "GET", f"/v1/exports?format=beads&projectId={first['project']['id']}", by=BEN
    )
    nothing = await service.call("GET", "/v1/exports?format=beads", by=BEN)

    assert (refused.status_code, nothing.status_code, nothing.content) == (404, 200, b"")
