import re

from tests.unit.entrypoints.http.service import ADMIN, BEN, Service, pointers

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def test_a_created_project_can_be_read_under_its_location(service: Service) -> None:
    made = await service.call("POST", "/v1/projects", {"name": "Garden", "color": "#00ff00"})

    assert made.status_code == 201
    assert made.headers["etag"] == '"1"'
    read = await service.call("GET", made.headers["location"])
    assert read.status_code == 200
    assert read.json() == made.json()
    assert read.json()["name"] == "Garden"
    assert read.json()["status"] == "ACTIVE"


async def test_instants_have_three_digits_and_z(service: Service) -> None:
    view = await service.made("/v1/projects", {"name": "Garden"})

    assert INSTANT.fullmatch(view["createdAt"])
    assert INSTANT.fullmatch(view["updatedAt"])
    assert view["deletedAt"] is None


async def test_an_entity_shows_every_promised_stamp(service: Service) -> None:
    view = await service.made("/v1/projects", {"name": "Garden"})

    stamps = {"id", "version", "createdAt", "updatedAt", "createdBy", "updatedBy"}
    assert stamps | {"isDeleted", "deletedAt", "deletedBy"} <= set(view)


async def test_a_patch_changes_what_it_names_and_clears_with_null(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Garden", "description": "Beds", "color": "#00ff00"})

    changed = await service.call("PATCH", f"/v1/projects/{made['id']}", {"description": None, "name": "Park"})

    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2"'
    assert (changed.json()["name"], changed.json()["description"]) == ("Park", None)
    assert changed.json()["color"] == "#00ff00"


async def test_a_merge_patch_by_its_own_media_type_is_read(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})

    kind = "application/merge-patch+json"
    changed = await service.call("PATCH", f"/v1/projects/{made['id']}", {"name": "Park"}, kind=kind)

    assert changed.json()["name"] == "Park"


async def test_a_patch_that_changes_nothing_makes_no_version(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})

    same = await service.call("PATCH", f"/v1/projects/{made['id']}", {"name": "Garden"})

    assert (same.status_code, same.json()["version"]) == (200, 1)


async def test_a_taken_name_is_a_conflict_that_names_the_field(service: Service) -> None:
    await service.made("/v1/projects", {"name": "Garden"})
    before = await service.stored()

    refused = await service.call("POST", "/v1/projects", {"name": "Garden"})

    assert refused.status_code == 409
    assert refused.json()["code"] == "already_exists"
    assert "/name" in pointers(refused)
    assert await service.stored() == before


async def test_strangers_do_not_learn_that_a_project_exists(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})

    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/versions"),
        ("GET", "/audit"),
        ("GET", "/timeline"),
    ):
        answer = await service.call(method, f"/v1/projects/{made['id']}{path}", by=BEN)
        assert answer.status_code == 404, path


async def test_an_owner_who_does_not_exist_is_refused_by_a_rule(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})

    refused = await service.call("PATCH", f"/v1/projects/{made['id']}", {"ownerId": "f" * 24})

    assert (refused.status_code, pointers(refused)) == (422, ["/ownerId"])


async def test_a_deleted_project_takes_its_tasks_along_and_brings_them_back(service: Service) -> None:
    project = await service.made("/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{project['id']}"
    task = await service.made("/v1/tasks", {"title": "Dig", "projectId": project["id"]})

    deleted = await service.call("DELETE", path)
    assert (deleted.status_code, deleted.content, deleted.headers["etag"]) == (204, b"", '"2"')
    assert [item["id"] for item in (await service.call("GET", "/v1/projects/trash")).json()["items"]] == [
        project["id"]
    ]
    assert (await service.call("GET", "/v1/projects")).json()["items"] == []
    assert (await service.call("GET", f"/v1/tasks/{task['id']}")).json()["isDeleted"] is True

    restored = await service.call("POST", f"{path}/restore")
    assert (restored.status_code, restored.json()["isDeleted"]) == (200, False)
    assert (await service.call("GET", f"/v1/tasks/{task['id']}")).json()["isDeleted"] is False


async def test_deleting_twice_is_a_conflict(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})
    await service.call("DELETE", f"/v1/projects/{made['id']}")

    again = await service.call("DELETE", f"/v1/projects/{made['id']}")

    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_every_version_can_be_listed_read_compared_and_put_back(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})
    path = f"/v1/projects/{made['id']}"
    await service.call("PATCH", path, {"name": "Park", "description": "Trees"})

    versions = (await service.call("GET", f"{path}/versions")).json()["items"]
    assert [(entry["version"], entry["action"]) for entry in versions] == [(2, "UPDATED"), (1, "CREATED")]
    assert versions[0]["changes"]["name"] == {"before": "Garden", "after": "Park"}

    first = await service.call("GET", f"{path}/versions/1")
    assert (first.json()["name"], first.headers["etag"]) == ("Garden", '"1"')

    difference = (await service.call("GET", f"{path}/diff?from=1&to=2")).json()
    assert (difference["from"], difference["to"]) == (1, 2)
    assert difference["changes"] == {
        "name": {"before": "Garden", "after": "Park"},
        "description": {"before": None, "after": "Trees"},
    }

    back = await service.call("POST", f"{path}/rollback", {"version": 1})
    assert (back.json()["version"], back.json()["name"], back.json()["description"]) == (3, "Garden", None)
    audit = (await service.call("GET", f"{path}/audit")).json()["items"]
    assert [entry["action"] for entry in audit] == ["ROLLED_BACK", "UPDATED", "CREATED"]


async def test_versions_that_never_were_are_not_found(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Garden"})

    for version in ("0", "2", "-1", "x", "9" * 40):
        answer = await service.call("GET", f"/v1/projects/{made['id']}/versions/{version}")
        assert answer.status_code == 404, version
    gone = await service.call("POST", f"/v1/projects/{made['id']}/rollback", {"version": 7})
    assert gone.status_code == 404


async def test_what_cannot_be_an_id_is_not_found(service: Service) -> None:
    for id in ("1", "A" * 24, "g" * 24, "0" * 25, "%00", "%ff"):
        answer = await service.call("GET", f"/v1/projects/{id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), id


async def test_lists_filter_and_sort(service: Service) -> None:
    for name in ("Beta", "Alpha", "Gamma"):
        await service.made("/v1/projects", {"name": name})
    await service.made("/v1/projects", {"name": "Old", "status": "ARCHIVED"})

    async def names(query: str) -> list[str]:
        answer = await service.call("GET", f"/v1/projects?{query}")
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json()["items"]]

    assert await names("sort=name&status=ACTIVE") == ["Alpha", "Beta", "Gamma"]
    assert await names("sort=-name&limit=2") == ["Old", "Gamma"]
    assert await names("q=gamma") == ["Gamma"]
    assert await names(f"ownerId={'f' * 24}") == []


async def test_administrators_see_every_project_others_their_own(service: Service) -> None:
    await service.made("/v1/projects", {"name": "Garden"})

    assert len((await service.call("GET", "/v1/projects", by=ADMIN)).json()["items"]) == 1
    assert (await service.call("GET", "/v1/projects", by=BEN)).json()["items"] == []


async def test_only_fields_that_were_sent_are_blamed(service: Service) -> None:
    first = await service.made("/v1/projects", {"name": "Taken"})
    second = await service.made("/v1/projects", {"name": "Free"})
    made = await service.call("POST", "/v1/projects", {"name": "Taken"})
    renamed = await service.call("PATCH", f"/v1/projects/{second['id']}", {"name": "Taken"})
    await service.call("DELETE", f"/v1/projects/{first['id']}")
    await service.call("PATCH", f"/v1/projects/{second['id']}", {"name": "Taken"})
    restored = await service.call("POST", f"/v1/projects/{first['id']}/restore")

    assert [(each.status_code, pointers(each)) for each in (made, renamed)] == [(409, ["/name"])] * 2
    assert (restored.status_code, pointers(restored)) == (409, ["/name"])
    assert "give that one another name, then restore this one" in restored.json()["detail"]
    await service.call("PATCH", f"/v1/projects/{second['id']}", {"name": "Free"})
    assert (await service.call("POST", f"/v1/projects/{first['id']}/restore")).json()["name"] == "Taken"
