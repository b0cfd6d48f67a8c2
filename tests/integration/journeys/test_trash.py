"""A project with all it holds, into the trash and back, in every store mode and with other sources and targets."""

import asyncio
from typing import Any

import pytest

from tests.integration.journeys.service import JourneyService, Person
from tests.integration.journeys.topologies import MIRRORED_OR_ALONE
from tests.unit.entrypoints.http.service import Json

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAN = {"items": [{"id": "dig", "start": "2026-03-02", "duration": 3}], "message": "first"}
ALIVE = ("id", "title", "name", "status", "labelIds", "items", "projectId", "parentId", "createdAt")


def lasting(view: Json) -> Json:
    """What a way into the trash and back must not touch."""
    return {name: view[name] for name in ALIVE if name in view}


async def _project_with_all(service: JourneyService, anna: Person) -> tuple[Json, list[Json], Json]:
    project = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    body: dict[str, Any] = {"projectId": project["id"]}
    parent = await service.view(anna, "POST", "/v1/tasks", {**body, "title": "Dig"})
    titles = ("Water", "Weed")
    children = [
        await service.view(anna, "POST", "/v1/tasks", {**body, "title": title, "parentId": parent["id"]})
        for title in titles
    ]
    timeline = await service.view(anna, "PUT", f"/v1/projects/{project['id']}/timeline", PLAN)
    return project, [parent, *children], timeline


@pytest.mark.parametrize("service", MIRRORED_OR_ALONE, indirect=True)
async def test_a_project_takes_along_what_it_holds_and_brings_back_exactly_that(
    service: JourneyService, anna: Person
) -> None:
    project, tasks, timeline = await _project_with_all(service, anna)
    path = f"/v1/projects/{project['id']}"
    *kept, gone_before = tasks
    await service.call(anna, "DELETE", f"/v1/tasks/{gone_before['id']}", If_Match='"1"', expect=204)
    # What went before went at another instant: that is how the two are told apart.
    await asyncio.sleep(0.002)

    await service.call(anna, "DELETE", path, If_Match='"1"', expect=204)

    assert await service.items(anna, "/v1/projects") == []
    assert await service.items(anna, f"/v1/tasks?projectId={project['id']}") == []
    assert [each["id"] for each in await service.items(anna, "/v1/projects/trash")] == [project["id"]]
    trashed = await service.items(anna, "/v1/tasks/trash?limit=1")
    assert {each["id"] for each in trashed} == {each["id"] for each in tasks}
    deleted = await service.view(anna, "GET", path)
    assert (deleted["isDeleted"], deleted["deletedBy"], deleted["version"]) == (True, anna.id, 2)
    assert (await service.call(anna, "PUT", f"{path}/timeline", PLAN)).status_code == 409
    await service.require_sound()

    restored = await service.view(anna, "POST", f"{path}/restore", If_Match='"2"')

    assert (lasting(restored), restored["isDeleted"], restored["version"]) == (lasting(project), False, 3)
    back = await service.items(anna, f"/v1/tasks?projectId={project['id']}&sort=createdAt")
    assert list(map(lasting, back)) == list(map(lasting, kept))
    assert [each["id"] for each in await service.items(anna, "/v1/tasks/trash")] == [gone_before["id"]]
    planned = await service.view(anna, "GET", f"{path}/timeline")
    assert (lasting(planned), planned["isDeleted"]) == (lasting(timeline), False)
    await service.require_sound()


async def test_what_is_in_the_trash_already_cannot_go_there_again(
    service: JourneyService, anna: Person
) -> None:
    project, tasks, _ = await _project_with_all(service, anna)
    for path in (f"/v1/tasks/{tasks[1]['id']}", f"/v1/projects/{project['id']}"):
        await service.call(anna, "DELETE", path, expect=204)
        before = await service.stored()
        again = await service.call(anna, "DELETE", path)
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
        assert await service.stored() == before
        await service.call(anna, "POST", f"{path}/restore", expect=200)
        assert (await service.call(anna, "POST", f"{path}/restore")).status_code == 409
    await service.require_sound()
