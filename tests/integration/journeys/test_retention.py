"""What was in the trash for too long is gone for good, in every store, and nothing brings it back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from adapters.records.change_set import ChangeSet, Put, Superseded
from adapters.records.record import Record, is_tombstone, tombstone
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.actor import Actor
from application.labels import DeleteLabel
from application.projects.commands import DeleteProject
from tests.integration.journeys.service import JourneyService, Person
from tests.integration.journeys.topologies import MIRRORED_OR_ALONE
from tests.unit.entrypoints.http.service import Json, pointers

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAN = {"items": [{"id": "dig", "start": "2026-03-02", "duration": 3}]}


class PastClock:
    """The port Clock, two months ago: what is deleted by it is due."""

    def now(self) -> datetime:
        past = datetime.now(UTC) - timedelta(days=60)
        return past.replace(microsecond=past.microsecond // 1000 * 1000)


async def _delete_long_ago(service: JourneyService, anna: Person, *, project_id: str, label_id: str) -> None:
    begin = partial(StoredUnitOfWork, service.stack.store, SortableIdentifiers())
    actor = Actor(id=anna.id, grants=frozenset(), request_id="long-ago")
    await DeleteProject(begin, PastClock())(actor, project_id, expected_version=None)
    await DeleteLabel(begin, PastClock())(actor, label_id, expected_version=None)


async def _made(service: JourneyService, anna: Person) -> Mapping[str, Json]:
    """A project with a task that Anna watches and is to do, and a task elsewhere below it with a label."""
    project = await service.view(anna, "POST", "/v1/projects", {"name": "Garden"})
    label = await service.view(anna, "POST", "/v1/labels", {"name": f"red of {anna.id}"})
    inside = await service.view(anna, "POST", "/v1/tasks", {"title": "Dig", "projectId": project["id"]})
    body: dict[str, Any] = {"title": "Rest", "parentId": inside["id"], "labelIds": [label["id"]]}
    outside = await service.view(anna, "POST", "/v1/tasks", body)
    await service.view(anna, "PUT", f"/v1/projects/{project['id']}/timeline", PLAN)
    assignee = {"assigneeId": anna.id, "assigneeType": "USER"}
    await service.call(anna, "POST", f"/v1/tasks/{inside['id']}/assign", assignee, expect=200)
    await service.call(anna, "PUT", f"/v1/watchlist/{inside['id']}", expect=200)
    return {"project": project, "label": label, "inside": inside, "outside": outside}


@pytest.mark.parametrize("service", MIRRORED_OR_ALONE, indirect=True)
async def test_what_is_due_goes_from_every_store_and_nothing_brings_it_back(
    service: JourneyService, anna: Person
) -> None:
    made = await _made(service, anna)
    project_id, label_id, inside_id = (made[name]["id"] for name in ("project", "label", "inside"))
    await _delete_long_ago(service, anna, project_id=project_id, label_id=label_id)
    before = (await service.stored())[0]
    assert (await service.call(anna, "POST", "/v1/admin/retention")).status_code == 403
    due = await service.view(service.admin, "GET", "/v1/admin/retention")
    assert {due["expired"][name] for name in ("projects", "tasks", "labels")} == {1}

    run = await service.view(service.admin, "POST", "/v1/admin/retention")

    assert run["removed"] == {
        "projects": 1,
        "timelines": 1,
        "tasks": 1,
        "task_assignments": 1,
        "watchlists": 1,
        "labels": 1,
    }
    assert (run["detached"], run["kept"], run["isComplete"]) == (2, 0, True)
    for path in (f"/v1/projects/{project_id}", f"/v1/tasks/{inside_id}", f"/v1/labels/{label_id}"):
        assert (await service.call(anna, "GET", path)).status_code == 410
        assert (await service.call(anna, "POST", f"{path}/restore")).status_code == 410
    outside = await service.view(anna, "GET", f"/v1/tasks/{made['outside']['id']}")
    assert (outside["parentId"], outside["labelIds"]) == (None, [])
    rolled_back = await service.call(anna, "POST", f"/v1/tasks/{outside['id']}/rollback", {"version": 1})
    assert (rolled_back.status_code, sorted(pointers(rolled_back))) == (422, ["/labelIds/0", "/parentId"])
    await service.require_sound()
    await _require_gone(service, before, project_id=project_id, inside_id=inside_id, label_id=label_id)


async def _require_gone(
    service: JourneyService, before: Mapping[str, Mapping[str, Record]], **ids: str
) -> None:
    """Each store holds tombstones, which no late copy of what was there before replaces."""
    names = {"project_id": "projects", "inside_id": "tasks", "label_id": "labels"}
    gone = [(names[name], id_) for name, id_ in ids.items()]
    gone += [("timelines", ids["project_id"])]
    for collection in ("task_assignments", "watchlists"):
        of_task = [
            record["id"] for record in before[collection].values() if record["taskId"] == ids["inside_id"]
        ]
        assert len(of_task) == 1
        gone.append((collection, of_task[0]))
    late = [ChangeSet((Put(collection, dict(before[collection][id_]), 0),)) for collection, id_ in gone]
    for store in service.stack.raw_stores:
        versions = [((collection, id_), before[collection][id_]["version"] + 1) for collection, id_ in gone]
        assert await store.apply(late) == [Superseded((version,)) for version in versions]
        for collection, id_ in gone:
            left = (await store.fetch(collection, [id_]))[id_]
            version = before[collection][id_]["version"] + 1
            assert is_tombstone(left), (store.name, collection)
            assert left == tombstone(id_, version), (store.name, collection)
