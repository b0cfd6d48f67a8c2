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


async def test_a_former_member_reaches_no_task_of_the_team_by_an_import(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    first = await brought(service, ben, beads({"id": "g-1"}), "Old")
    (task,) = await service.items(ben, f"/v1/tasks?projectId={first['project']['id']}")
    team = await service.view(anna, "POST", "/v1/teams", {"name": "Gardeners"})
    await service.call(anna, "POST", f"/v1/teams/{team['id']}/members", {"userIds": [ben.id]}, expect=200)
    garden = await service.view(anna, "POST", "/v1/projects", {"name": "Garden", "teamId": team["id"]})
    path = f"/v1/tasks/{task['id']}"
    await service.call(ben, "PATCH", path, {"projectId": garden["id"]}, expect=200)
    await service.call(anna, "PATCH", path, {"description": "Ours"}, expect=200)
    await service.call(anna, "DELETE", f"/v1/teams/{team['id']}/members/{ben.id}", expect=204)
    before = (await service.call(anna, "GET", path, expect=200)).json()

    tombstone = {"status": "tombstone", "deleted_at": "2026-01-01T00:00:00Z"}
    for newer in ({"title": "By Ben"}, {"description": "Theirs"}, tombstone):
        report = await brought(service, ben, beads({"id": "g-1", **newer}), "Old")
        assert report["skipped"] == [{"key": "g-1", "why": "cannot be changed"}]
        assert (report["counts"]["changed"], report["counts"]["trashed"]) == (0, 0)

    assert (await service.call(anna, "GET", path, expect=200)).json() == before


async def test_an_import_goes_into_the_project_that_has_the_name_now(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    content = beads({"id": "a"}, {"id": "b"})
    names = ("renamed", "trashed", "given")
    old = {name: (await brought(service, anna, content, name))["project"]["id"] for name in names}
    await service.call(anna, "PATCH", f"/v1/projects/{old['renamed']}", {"name": "once"}, expect=200)
    await service.call(anna, "DELETE", f"/v1/projects/{old['trashed']}", expect=204)
    await service.view(anna, "POST", "/v1/projects", {"name": "trashed"})
    await service.call(anna, "PATCH", f"/v1/projects/{old['given']}", {"ownerId": ben.id}, expect=200)

    for name in names:
        report = await brought(service, anna, content, name)
        again = await brought(service, anna, content, name)
        assert report["project"]["id"] != old[name]
        assert (report["project"]["isNew"], report["counts"]["created"]) == (name != "trashed", 2)
        assert (again["project"]["id"], again["counts"]["unchanged"]) == (report["project"]["id"], 2)
        tasks = await service.items(anna, f"/v1/tasks?projectId={report['project']['id']}")
        assert sorted(task["title"] for task in tasks) == ["Title of a", "Title of b"]
    kept = await service.items(ben, f"/v1/tasks?projectId={old['given']}")
    assert sorted((task["title"], task["version"]) for task in kept) == [("Title of a", 2), ("Title of b", 2)]
