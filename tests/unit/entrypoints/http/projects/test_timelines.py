import pytest

from tests.unit.entrypoints.http.service import Json, Service, pointers

PLAN: Json = {
    "calendar": {"workingDays": ["MON", "TUE"], "holidays": ["2026-12-25"]},
    "items": [
        {"id": "a", "title": "Dig", "start": "2026-03-02", "duration": 3},
        {"id": "b", "kind": "MILESTONE", "notBefore": "2026-03-09"},
    ],
    "dependencies": [{"from": "a", "to": "b", "kind": "FS", "lag": -1}],
    "message": "First plan",
}


async def planned(service: Service) -> str:
    project = await service.made("/v1/projects", {"name": "Garden"})
    return f"/v1/projects/{project['id']}/timeline"


async def test_a_project_starts_with_an_empty_plan_of_version_zero(service: Service) -> None:
    answer = await service.call("GET", await planned(service))

    assert (answer.status_code, answer.headers["etag"]) == (200, '"0"')
    assert (answer.json()["version"], answer.json()["items"]) == (0, [])


async def test_a_saved_plan_comes_back_as_it_was_sent(service: Service) -> None:
    path = await planned(service)

    saved = await service.call("PUT", path, PLAN, If_Match='"0"')

    assert (saved.status_code, saved.json()["version"]) == (200, 1)
    read = (await service.call("GET", path)).json()
    assert read == saved.json()
    assert read["calendar"] == PLAN["calendar"]
    assert read["dependencies"] == PLAN["dependencies"]
    assert read["items"][0]["duration"] == 3
    assert read["items"][1] == {
        "id": "b",
        "kind": "MILESTONE",
        "taskId": None,
        "parentId": None,
        "title": None,
        "start": None,
        "end": None,
        "duration": None,
        "mode": "AUTO",
        "notBefore": "2026-03-09",
    }


async def test_saving_what_is_there_makes_no_version(service: Service) -> None:
    path = await planned(service)
    await service.call("PUT", path, PLAN)

    again = await service.call("PUT", path, {**PLAN, "message": "Again"})

    assert again.json()["version"] == 1


async def test_a_dry_run_shows_the_result_and_stores_nothing(service: Service) -> None:
    path = await planned(service)
    before = await service.stored()

    tried = await service.call("PUT", f"{path}?dryRun=true", PLAN)

    assert (tried.status_code, tried.json()["items"][0]["id"]) == (200, "a")
    assert await service.stored() == before


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_dry_run_tags_no_version_that_does_not_exist(service: Service, method: str) -> None:
    path = await planned(service)
    saved = await service.call("PUT", path, PLAN)
    empty: Json = {"items": [], "dependencies": []}

    tried = await service.call(method, f"{path}?dryRun=true", empty, If_Match=saved.headers["etag"])

    assert (tried.status_code, tried.json()["items"], "etag" in tried.headers) == (200, [], False)
    made = await service.call(method, path, empty, If_Match=saved.headers["etag"])
    assert (made.status_code, made.headers["etag"]) == (200, '"2"')
    stale = await service.call(method, f"{path}?dryRun=true", PLAN, If_Match=saved.headers["etag"])
    assert stale.status_code == 412


async def test_a_stale_plan_is_refused_with_the_current_version(service: Service) -> None:
    path = await planned(service)
    await service.call("PUT", path, PLAN)
    before = await service.stored()

    stale = await service.call("PUT", path, {"items": []}, If_Match='"0"')

    assert (stale.status_code, stale.json()["currentVersion"]) == (412, 1)
    assert await service.stored() == before


async def test_a_merge_patch_replaces_lists_and_merges_objects(service: Service) -> None:
    path = await planned(service)
    await service.call("PUT", path, PLAN)

    body = {"calendar": {"holidays": []}, "dependencies": []}
    changed = await service.call("PATCH", path, body, If_Match='"1"')

    assert changed.status_code == 200, changed.text
    assert changed.json()["calendar"] == {"workingDays": ["MON", "TUE"], "holidays": []}
    assert changed.json()["dependencies"] == []
    assert [item["id"] for item in changed.json()["items"]] == ["a", "b"]
    assert changed.json()["message"] is None


async def test_what_a_merge_patch_clears_is_as_in_a_new_plan(service: Service) -> None:
    path = await planned(service)
    await service.call("PUT", path, PLAN)

    body = {"calendar": {"workingDays": None}, "items": None, "dependencies": None, "message": None}
    changed = await service.call("PATCH", path, body)

    assert changed.status_code == 200, changed.text
    stored = (await service.call("GET", path)).json()
    assert (stored["items"], stored["dependencies"], stored["message"]) == ([], [], None)
    assert stored["calendar"] == {
        "workingDays": ["MON", "TUE", "WED", "THU", "FRI"],
        "holidays": PLAN["calendar"]["holidays"],
    }
    cleared = await service.call("PATCH", path, {"calendar": None})
    assert cleared.json()["calendar"]["holidays"] == []


async def test_a_merge_patch_of_nothing_keeps_the_plan(service: Service) -> None:
    path = await planned(service)
    await service.call("PUT", path, PLAN)
    before = await service.stored()

    bodies: list[Json] = [{}, {"calendar": {}}, {"message": "Again"}]
    for body in bodies:
        assert (await service.call("PATCH", path, body)).json()["version"] == 1
    assert await service.stored() == before


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"items": [{"id": "a", "title": "x\\u0000"}]}', ["/items/0/title"]),
        (b'{"items": [{"id": "a", "id": "b"}]}', ["/items/0/id"]),
        (b'{"calendar": {"workingDays": ["MON"], "more": 1}}', ["/calendar/more"]),
        (b'{"items": [{"id": "a", "title": "x\\u0000"}, {"id": 1}]}', ["/items/0/title", "/items/1/id"]),
        (b'{"items": {"0": {"id": "a"}}}', ["/items"]),
        (b'{"calendar": {"workingDays": []}, "version": 1}', ["/version"]),
    ],
)
async def test_what_is_wrong_in_a_merge_patch_is_named_and_changes_nothing(
    service: Service, raw: bytes, expected: list[str]
) -> None:
    path = await planned(service)
    await service.call("PUT", path, PLAN)
    before = await service.stored()

    refused = await service.call("PATCH", path, raw=raw)

    assert (refused.status_code, pointers(refused)) == (400, expected), refused.text
    assert await service.stored() == before


async def test_every_fault_of_a_plan_is_named_at_once(service: Service) -> None:
    path = await planned(service)
    before = await service.stored()
    body = {
        "items": [{"id": "", "duration": -1}, {"kind": "BAR"}, {"id": "c", "colour": 1}],
        "dependencies": [{"from": "a", "lag": "x"}],
        "calendar": {"workingDays": ["MONDAY"], "holidays": ["2026-02-30"]},
        "surprise": True,
    }

    refused = await service.call("PUT", path, body)

    assert refused.status_code == 400
    assert set(pointers(refused)) == {
        "/surprise",
        "/calendar/workingDays/0",
        "/calendar/holidays/0",
        "/items/0/id",
        "/items/0/duration",
        "/items/1/id",
        "/items/1/kind",
        "/items/2/colour",
        "/dependencies/0/to",
        "/dependencies/0/lag",
    }
    assert await service.stored() == before


async def test_a_plan_that_contradicts_itself_is_refused_by_a_rule(service: Service) -> None:
    path = await planned(service)
    body = {
        "items": [{"id": "a"}, {"id": "b"}],
        "dependencies": [{"from": "a", "to": "b"}, {"from": "b", "to": "a"}],
    }

    refused = await service.call("PUT", path, body)

    assert (refused.status_code, refused.json()["code"]) == (422, "rule_broken")
    assert pointers(refused) == ["/dependencies"]


async def test_a_bad_merge_is_refused_by_its_pointer(service: Service) -> None:
    path = await planned(service)

    refused = await service.call("PATCH", path, {"items": [{"id": 7}]})

    assert (refused.status_code, pointers(refused)) == (400, ["/items/0/id"])


async def test_plans_can_be_read_by_version_and_by_instant_and_put_back(service: Service) -> None:
    path = await planned(service)
    first = (await service.call("PUT", path, PLAN)).json()
    await service.call("PUT", path, {"items": []})

    assert (await service.call("GET", f"{path}?version=1")).json()["items"][0]["id"] == "a"
    at = await service.call("GET", f"{path}?at={first['updatedAt']}")
    assert at.json()["version"] == 1
    assert (await service.call("GET", f"{path}/versions/1")).json()["items"][0]["id"] == "a"
    listed = (await service.call("GET", f"{path}/versions")).json()["items"]
    assert [entry["version"] for entry in listed] == [2, 1]
    back = await service.call("POST", f"{path}/rollback", {"version": 1}, If_Match='"2"')
    assert (back.json()["version"], back.json()["items"][0]["id"]) == (3, "a")
    difference = (await service.call("GET", f"{path}/diff?from=2&to=3")).json()
    assert set(difference["changes"]) == {"items", "calendar", "dependencies", "message"}


async def test_a_plan_of_two_thousand_items_is_saved_whole(service: Service) -> None:
    path = await planned(service)
    items = [{"id": f"i{number}", "title": f"Item {number}", "duration": 1} for number in range(2_000)]
    links = [{"from": f"i{number}", "to": f"i{number + 1}"} for number in range(1_999)]

    saved = await service.call("PUT", path, {"items": items, "dependencies": links})

    assert saved.status_code == 200
    assert len((await service.call("GET", path)).json()["items"]) == 2_000


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("query", ["", "?dryRun=true"])
async def test_a_plan_refers_to_tasks_of_its_project_only(service: Service, method: str, query: str) -> None:
    path = await planned(service)
    project_id = path.split("/")[3]
    own = await service.made("/v1/tasks", {"title": "Dig", "projectId": project_id})
    private = await service.made("/v1/tasks", {"title": "Dig alone"})
    gone = await service.made("/v1/tasks", {"title": "Weed", "projectId": project_id})
    await service.call("DELETE", f"/v1/tasks/{gone['id']}")
    before = await service.stored()
    task_ids = [own["id"], "e" * 24, private["id"], gone["id"]]
    items = [{"id": f"i{place}", "duration": 1, "taskId": id_} for place, id_ in enumerate(task_ids)]

    refused = await service.call(method, path + query, {"items": items})
    fits = await service.call(method, path, {"items": items[:1]})

    assert refused.status_code == 422
    assert pointers(refused) == [f"/items/{place}/taskId" for place in (1, 2, 3)]
    assert fits.status_code == 200
    assert len((await service.stored())["timelines"]) == len(before["timelines"]) + 1


async def test_a_task_that_left_the_project_stays_in_the_plan(service: Service) -> None:
    path = await planned(service)
    task = await service.made("/v1/tasks", {"title": "Dig", "projectId": path.split("/")[3]})
    item = {"id": "a", "duration": 1, "taskId": task["id"]}
    await service.call("PUT", path, {"items": [item]})
    await service.call("DELETE", f"/v1/tasks/{task['id']}")

    longer = await service.call("PATCH", path, {"items": [{**item, "duration": 2}]})

    assert longer.status_code == 200, longer.text
