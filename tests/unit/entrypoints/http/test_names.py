"""Names over HTTP: the one rule for all of them, and what was kept before there was one."""

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.ports.unit_of_work import UnitOfWork
from tests.data.names import BAD_NAMES, COMPOSED, DECOMPOSED, GOOD_NAMES
from tests.unit.builders import actor, label, numbered_id, project
from tests.unit.entrypoints.http.company import gather
from tests.unit.entrypoints.http.service import ADMIN, ANNA, Json, Service, pointers

ROLE: Json = {"scope": "TEAM", "permissions": ["ASSIGN_TASKS"]}
NAMED: list[tuple[str, Json]] = [
    ("/v1/projects", {}),
    ("/v1/labels", {}),
    ("/v1/teams", {}),
    ("/v1/roles", ROLE),
]
NAMES_OF = {"/v1/projects": "projects", "/v1/labels": "labels", "/v1/teams": "teams", "/v1/roles": "roles"}
OLD_NAME = "old\x1b[31m\u202e"
PLAIN, OVERTURNED = "Dig", "Dig\u202e"


@pytest.fixture(autouse=True)
async def _everybody(service: Service) -> None:
    await gather(service)


@pytest.mark.parametrize(("path", "more"), NAMED, ids=[path for path, _ in NAMED])
@pytest.mark.parametrize("name", [row[1] for row in BAD_NAMES], ids=[row[0] for row in BAD_NAMES])
async def test_a_name_that_hides_or_turns_something_is_neither_made_nor_given(
    service: Service, *, path: str, more: Json, name: str
) -> None:
    made = await service.made(path, {"name": "Garden", **more}, by=ADMIN)
    before = await service.stored()

    created = await service.call("POST", path, {"name": name, **more}, by=ADMIN)
    changed = await service.call("PATCH", f"{path}/{made['id']}", {"name": name}, by=ADMIN)

    for refused in (created, changed):
        assert (refused.status_code, refused.json()["code"]) == (422, "rule_broken"), refused.text
        assert pointers(refused) == ["/name"]
    assert await service.stored() == before


@pytest.mark.parametrize("name", ["Ada\x1b[31m", "\u202eada", "\u200b", "Ada\r\nBcc: eve"])
async def test_nobody_gets_such_a_name_by_signing_in_or_editing_his_profile(
    service: Service, name: str
) -> None:
    before = await service.stored()

    signed_in = await service.client.post("/v1/auth/dev/token", json={"email": "e@example.org", "name": name})
    edited = await service.call("PATCH", f"/v1/users/{ANNA}", {"name": name})

    for refused in (signed_in, edited):
        assert (refused.status_code, pointers(refused)) == (422, ["/name"]), refused.text
    assert await service.stored() == before


@pytest.mark.parametrize("name", GOOD_NAMES)
async def test_names_in_every_script_are_stored_as_they_are(service: Service, name: str) -> None:
    made = await service.made("/v1/projects", {"name": name})

    assert [record["name"] for record in (await service.stored())["projects"]] == [name]
    assert (await service.call("GET", f"/v1/projects/{made['id']}")).json()["name"] == name


@pytest.mark.parametrize(("path", "more"), NAMED, ids=[path for path, _ in NAMED])
async def test_a_name_is_stored_in_one_spelling(service: Service, *, path: str, more: Json) -> None:
    made = await service.made(path, {"name": DECOMPOSED, **more}, by=ADMIN)
    again = await service.call("PATCH", f"{path}/{made['id']}", {"name": DECOMPOSED}, by=ADMIN)

    assert (made["name"], again.json()["version"]) == (COMPOSED, 1)
    stored = [record["name"] for record in (await service.stored())[NAMES_OF[path]]]
    assert (stored.count(COMPOSED), stored.count(DECOMPOSED)) == (1, 0)


@pytest.mark.parametrize(
    ("path", "more"), [each for each in NAMED if each[0] != "/v1/teams"], ids=["projects", "labels", "roles"]
)
async def test_the_other_spelling_of_a_unique_name_is_taken(
    service: Service, *, path: str, more: Json
) -> None:
    await service.made(path, {"name": COMPOSED, **more}, by=ADMIN)
    before = await service.stored()

    refused = await service.call("POST", path, {"name": DECOMPOSED, **more}, by=ADMIN)

    assert (refused.status_code, refused.json()["code"]) == (409, "already_exists")
    assert "/name" in pointers(refused)
    assert await service.stored() == before


@pytest.mark.parametrize("name", [" bug", "bug ", "  bug\u00a0", "\u3000bug\n"])
@pytest.mark.parametrize(("path", "more"), NAMED, ids=[path for path, _ in NAMED])
async def test_white_space_around_a_name_makes_no_other_name(
    service: Service, *, path: str, more: Json, name: str
) -> None:
    made = await service.made(path, {"name": name, **more}, by=ADMIN)
    before = await service.stored()

    again = await service.call("PATCH", f"{path}/{made['id']}", {"name": f" {name} "}, by=ADMIN)
    if path != "/v1/teams":
        refused = await service.call("POST", path, {"name": "bug", **more}, by=ADMIN)
        assert (refused.status_code, refused.json()["code"]) == (409, "already_exists")

    assert (made["name"], again.json()["version"]) == ("bug", 1)
    assert [record["name"] for record in before[NAMES_OF[path]]].count("bug") == 1
    assert await service.stored() == before


async def kept_before(service: Service) -> tuple[str, str]:
    """The addresses of a label and a project of Anna's whose names nobody could give today."""
    begin = partial(StoredUnitOfWork, service.store, SortableIdentifiers())
    work: UnitOfWork = begin(actor())
    work.labels.save(replace(label(), name=OLD_NAME))
    work.projects.save(replace(project(2), name=OLD_NAME))
    await work.commit()
    return f"/v1/labels/{numbered_id(1)}", f"/v1/projects/{numbered_id(2)}"


async def test_what_has_such_a_name_from_before_is_read_listed_changed_and_restored(service: Service) -> None:
    for path in await kept_before(service):
        assert (await service.call("GET", path)).json()["name"] == OLD_NAME
        items = (await service.call("GET", path.rpartition("/")[0])).json()["items"]
        assert OLD_NAME in [item["name"] for item in items]
        colored = await service.call("PATCH", path, {"color": "#ff0000"})
        assert (colored.status_code, colored.json()["name"]) == (200, OLD_NAME)
        assert (await service.call("DELETE", path)).status_code == 204
        assert (await service.call("POST", f"{path}/restore")).json()["name"] == OLD_NAME
        refused = await service.call("PATCH", path, {"name": OLD_NAME})
        assert (refused.status_code, set(pointers(refused))) == (422, {"/name"})
        assert (await service.call("PATCH", path, {"name": "New"})).json()["version"] == 5


async def test_a_project_is_rolled_back_to_a_name_from_before(service: Service) -> None:
    _, path = await kept_before(service)
    await service.call("PATCH", path, {"name": "New"})

    back = await service.call("POST", f"{path}/rollback", {"version": 1})

    assert (back.status_code, back.json()["name"]) == (200, OLD_NAME)
    assert (await service.call("GET", path)).json()["version"] == 3


@pytest.mark.parametrize("title", ["a\x1bb", "a\nb", OVERTURNED])
async def test_a_title_is_one_line_however_it_is_written(service: Service, title: str) -> None:
    made = await service.made("/v1/tasks", {"title": PLAIN})
    before = await service.stored()

    created = await service.call("POST", "/v1/tasks", {"title": title})
    changed = await service.call("PATCH", f"/v1/tasks/{made['id']}", {"title": title})
    operations = [{"op": "create", "title": PLAIN}, {"op": "update", "id": made["id"], "title": title}]
    together = await service.call("POST", "/v1/tasks/bulk", {"operations": operations})

    for refused, at in ((created, "/title"), (changed, "/title"), (together, "/operations/1/title")):
        assert (refused.status_code, refused.json()["code"], pointers(refused)) == (422, "rule_broken", [at])
    assert await service.stored() == before


async def test_of_operations_that_stand_alone_only_the_one_with_such_a_title_fails(service: Service) -> None:
    operations = [{"op": "create", "title": PLAIN}, {"op": "create", "title": OVERTURNED}]

    answer = await service.call("POST", "/v1/tasks/bulk", {"operations": operations, "atomic": False})

    assert [each["status"] for each in answer.json()["outcomes"]] == [201, 422]
    assert [record["title"] for record in (await service.stored())["tasks"]] == [PLAIN]


async def test_a_description_has_lines(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": PLAIN, "description": "a\n\tb"})

    assert made["description"] == "a\n\tb"


def file(title: str) -> bytes:
    issue: dict[str, Any] = {"id": "bd-1", "title": title, "status": "open", "priority": 2}
    return json.dumps({**issue, "created_at": "2025-10-27T22:55:44Z"}).encode()


async def test_an_import_cleans_titles_and_reports_it(service: Service) -> None:
    path, kind = "/v1/imports?format=beads", "application/x-ndjson"

    first = await service.call("POST", path, raw=file("Dig\tthe pond"), kind=kind)
    brought = [record["title"] for record in (await service.stored())["tasks"]]
    again = await service.call("POST", path, raw=file("Dig\tthe\u202epond"), kind=kind)

    assert (first.status_code, again.status_code) == (200, 200)
    assert brought == ["Dig the pond"]
    assert "title" in [loss["field"] for loss in first.json()["lost"]]
    (task,) = (await service.stored())["tasks"]
    assert (task["title"], task["version"]) == ("Dig thepond", 2)
    done = await service.call("PATCH", f"/v1/tasks/{task['id']}", {"status": "DONE"})
    assert (done.status_code, done.json()["title"]) == (200, task["title"])
