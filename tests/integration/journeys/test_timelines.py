"""A plan saved, loaded by version and by instant, changed, and put back, in every store mode."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from tests.integration.journeys.service import JourneyService, Person
from tests.unit.entrypoints.http.service import Json, pointers

pytestmark = pytest.mark.asyncio(loop_scope="session")


def plan(*items: str, **more: Any) -> Json:
    """A plan in which each item waits for the one before."""
    return {
        "calendar": {"workingDays": ["MON", "TUE"], "holidays": ["2026-12-24", "2026-12-25"]},
        "items": [
            {"id": item, "title": f"Do {item}", "start": "2026-03-02", "duration": 2} for item in items
        ],
        "dependencies": [
            {"from": before, "to": after, "kind": "FF", "lag": -1} for before, after in pairwise(items)
        ],
        **more,
    }


async def _project(service: JourneyService, anna: Person) -> tuple[Json, str]:
    project = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    return project, f"/v1/projects/{project['id']}/timeline"


async def test_a_plan_is_loaded_by_version_and_by_instant(service: JourneyService, anna: Person) -> None:
    project, path = await _project(service, anna)
    unsaved = await service.view(anna, "GET", path)
    saved = [unsaved]
    for number, items in enumerate([("a",), ("a", "b"), ("b", "c")]):
        # Two versions within one millisecond could not be told apart by time.
        await asyncio.sleep(0.002)
        body = plan(*items, message=f"version {number + 1}")
        saved.append(await service.view(anna, "PUT", path, body, If_Match=f'"{number}"'))

    assert [each["version"] for each in saved] == [0, 1, 2, 3]
    assert [each["message"] for each in saved] == [None, "version 1", "version 2", "version 3"]
    assert saved[2]["dependencies"] == [{"from": "a", "to": "b", "kind": "FF", "lag": -1}]
    for version in saved[1:]:
        assert await service.view(anna, "GET", f"{path}?version={version['version']}") == version
        assert await service.view(anna, "GET", f"{path}?at={version['updatedAt']}") == version
    assert await service.view(anna, "GET", f"{path}?at={project['createdAt']}") == unsaved
    assert await service.view(anna, "GET", path) == saved[-1]
    for missing in ("version=4", "at=2000-01-01T00:00:00Z"):
        assert (await service.call(anna, "GET", f"{path}?{missing}")).status_code == 404
    await service.require_sound()


async def test_saving_what_is_there_makes_no_version_and_a_dry_run_saves_nothing(
    service: JourneyService, anna: Person
) -> None:
    _, path = await _project(service, anna)
    first = await service.view(anna, "PUT", path, plan("a", "b"))
    before = await service.stored()

    same = await service.view(anna, "PUT", path, plan("a", "b"))
    dry = await service.view(anna, "PUT", f"{path}?dryRun=true", plan("z"))

    assert (same["version"], dry["version"]) == (1, 2)
    assert [item["id"] for item in dry["items"]] == ["z"]
    assert await service.stored() == before
    assert await service.view(anna, "GET", path) == first


async def test_a_stale_plan_is_refused_and_changes_nothing(service: JourneyService, anna: Person) -> None:
    _, path = await _project(service, anna)
    await service.view(anna, "PUT", path, plan("a"), If_Match='"0"')
    await service.view(anna, "PUT", path, plan("a", "b"), If_Match='"1"')
    before = await service.stored()

    for method, body in (("PUT", plan("late")), ("PATCH", {"items": []})):
        refused = await service.call(anna, method, path, body, If_Match='"1"')
        assert (refused.status_code, refused.json()["currentVersion"]) == (412, 2)
    assert await service.stored() == before


async def test_a_plan_that_cannot_be_is_refused_by_name_and_changes_nothing(
    service: JourneyService, anna: Person
) -> None:
    _, path = await _project(service, anna)
    await service.view(anna, "PUT", path, plan("a", "b"))
    before = await service.stored()

    cycle = [{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]
    refusals: list[tuple[Json, str]] = [
        ({**plan("a", "b"), "dependencies": cycle}, "/dependencies"),
        ({**plan("a"), "dependencies": [{"from": "a", "to": "a"}]}, "/dependencies/0"),
        ({**plan("a"), "dependencies": [{"from": "a", "to": "x"}]}, "/dependencies/0/to"),
        ({"items": [{"id": "a", "start": "2026-03-02", "end": "2026-03-01"}]}, "/items/0/end"),
    ]
    for body, pointer in refusals:
        refused = await service.call(anna, "PUT", path, body)
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
    assert await service.stored() == before


async def test_a_plan_is_changed_in_part_compared_and_put_back(service: JourneyService, anna: Person) -> None:
    _, path = await _project(service, anna)
    first = await service.view(anna, "PUT", path, plan("a", "b"))
    changed = await service.view(anna, "PATCH", path, {"dependencies": None, "message": "alone"})
    assert (changed["items"], changed["dependencies"]) == (first["items"], [])

    back = await service.view(anna, "POST", f"{path}/rollback", {"version": 1}, If_Match='"2"')

    assert (back["version"], back["dependencies"]) == (3, first["dependencies"])
    difference = await service.view(anna, "GET", f"{path}/diff?from=1&to=2")
    assert difference["changes"]["dependencies"] == {"before": first["dependencies"], "after": []}
    versions = await service.items(anna, f"{path}/versions?limit=1")
    assert [(each["version"], each["action"]) for each in versions] == [
        (3, "ROLLED_BACK"),
        (2, "UPDATED"),
        (1, "CREATED"),
    ]
    assert [each["version"] for each in await service.items(anna, f"{path}/audit")] == [3, 2, 1]
    await service.require_sound()
