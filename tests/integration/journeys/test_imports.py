"""Imports and exports over HTTP, in every store mode."""

from collections.abc import Sequence

import pytest

from tests.integration.journeys.service import JourneyService, Person
from tests.unit.application.interchange.importing import beads
from tests.unit.entrypoints.http.service import Json

pytestmark = pytest.mark.asyncio(loop_scope="session")

DETAILS: Sequence[Json] = (
    {"dueAt": "2026-12-05T23:59:59.999Z", "description": ""},
    {"dueOn": "2026-12-05", "description": "Deep"},
    {"dueAt": "2026-12-05T23:59:59.998Z", "description": " \n"},
    {"dueOn": "9999-12-31", "description": None},
    {"dueAt": None, "dueOn": None},
)


async def brought(service: JourneyService, person: Person, content: bytes, name: str) -> Json:
    """The report of an import into the project of this name."""
    path = f"/v1/imports?format=beads&project={name}"
    answer = await service.call(person, "POST", path, raw=content, expect=200, kind="application/x-ndjson")
    report: Json = answer.json()
    return report


async def due_dates_and_descriptions(
    service: JourneyService, person: Person, project_id: str
) -> dict[str, Json]:
    tasks = await service.items(person, f"/v1/tasks?projectId={project_id}")
    return {task["title"]: {name: task[name] for name in ("dueAt", "dueOn", "description")} for task in tasks}


async def test_an_instant_comes_back_as_an_instant_and_a_day_as_a_day(
    service: JourneyService, anna: Person
) -> None:
    project = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    for number, details in enumerate(DETAILS):
        body = {"title": f"Step {number}", "projectId": project["id"], **details}
        await service.view(anna, "POST", "/v1/tasks", body)

    path = f"/v1/exports?format=beads&projectId={project['id']}"
    exported = (await service.call(anna, "GET", path, expect=200)).content
    report = await brought(service, anna, exported, "Copy")

    copied = await due_dates_and_descriptions(service, anna, report["project"]["id"])
    assert copied == await due_dates_and_descriptions(service, anna, project["id"])
    assert {loss["field"] for loss in report["lost"]}.isdisjoint(
        {"due_at", "due_on", "dueAt", "dueOn", "description"}
    )


async def test_of_a_skipped_issue_nothing_is_stored(service: JourneyService, anna: Person) -> None:
    labels = [f"{anna.id} {number}" for number in range(51)]
    content = beads({"id": "a", "labels": labels}, {"id": "b", "labels": labels[:1]})

    report = await brought(service, anna, content, "Beds")

    found = [label["name"] for label in await service.items(anna, f"/v1/labels?q={anna.id}&limit=200")]
    tasks = await service.items(anna, f"/v1/tasks?projectId={report['project']['id']}")
    assert (report["newLabels"], found) == (labels[:1], labels[:1])
    assert [task["title"] for task in tasks] == ["Title of b"]
