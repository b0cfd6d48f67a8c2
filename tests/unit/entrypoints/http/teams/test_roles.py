import pytest

from domain.role import RoleScope, built_in_id
from tests.unit.entrypoints.http.company import EVE, gather
from tests.unit.entrypoints.http.service import ADMIN, ANNA, BEN, Json, Service, pointers

ADMINISTRATOR = built_in_id(RoleScope.GLOBAL, "admin")
MODERATOR = built_in_id(RoleScope.GLOBAL, "moderator")
LEADER = built_in_id(RoleScope.TEAM, "admin")


@pytest.fixture(autouse=True)
async def _everybody(service: Service) -> None:
    await gather(service)


async def test_everybody_reads_the_built_in_roles(service: Service) -> None:
    listed = (await service.call("GET", "/v1/roles?scope=TEAM&count=exact")).json()
    assert ([item["name"] for item in listed["items"]], listed["total"]) == (["admin", "member", "owner"], 3)
    assert len((await service.call("GET", "/v1/roles")).json()["items"]) == 5
    role = await service.call("GET", f"/v1/roles/{MODERATOR}", by=EVE)
    assert (role.json()["permissions"], role.json()["isBuiltIn"]) == (["MODERATE"], True)
    assert role.headers["etag"] == '"1"'


async def test_administrators_make_change_and_retire_roles(service: Service) -> None:
    body = {"name": "planner", "scope": "TEAM", "permissions": ["ASSIGN_TASKS"]}
    assert (await service.call("POST", "/v1/roles", body)).status_code == 403
    made = await service.made("/v1/roles", body, by=ADMIN)
    path = f"/v1/roles/{made['id']}"
    assert (made["permissions"], made["isBuiltIn"], made["description"]) == (["ASSIGN_TASKS"], False, None)
    assert (await service.call("PATCH", path, {"name": "x"})).status_code == 403
    changed = await service.call("PATCH", path, {"permissions": []}, by=ADMIN, If_Match='"1"')
    assert (changed.json()["permissions"], changed.headers["etag"]) == ([], '"2"')
    assert (await service.call("DELETE", path, by=ADMIN, If_Match='"1"')).status_code == 412
    assert (await service.call("DELETE", path)).status_code == 403
    assert (await service.call("DELETE", path, by=ADMIN, If_Match='"2"')).status_code == 204
    assert (await service.call("GET", path)).json()["isDeleted"] is True
    assert len((await service.call("GET", "/v1/roles?scope=TEAM")).json()["items"]) == 3


async def test_built_in_roles_and_taken_names_are_conflicts(service: Service) -> None:
    before = await service.stored()
    for method, path, body in (
        ("PATCH", f"/v1/roles/{LEADER}", {"name": "x"}),
        ("DELETE", f"/v1/roles/{LEADER}", None),
        ("POST", "/v1/roles", {"name": "owner", "scope": "TEAM"}),
    ):
        assert (await service.call(method, path, body, by=ADMIN)).status_code == 409, (method, path)
    assert await service.stored() == before


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"scope": "TEAM"}, 400, "/name"),
        ({"name": "x"}, 400, "/scope"),
        ({"name": "x", "scope": "WORLD"}, 400, "/scope"),
        ({"name": "x", "scope": "TEAM", "permissions": ["FLY"]}, 400, "/permissions/0"),
        ({"name": "x", "scope": "TEAM", "isBuiltIn": True}, 400, "/isBuiltIn"),
        ({"name": "x", "scope": "TEAM", "permissions": ["ADMINISTER"]}, 422, "/permissions/0"),
        ({"name": "x", "scope": "GLOBAL"}, 422, "/permissions"),
    ],
)
async def test_a_role_that_does_not_fit_is_refused_with_its_pointer(
    service: Service, body: Json, status: int, pointer: str
) -> None:
    before = await service.stored()
    refused = await service.call("POST", "/v1/roles", body, by=ADMIN)
    assert (refused.status_code, pointers(refused)) == (status, [pointer])
    assert await service.stored() == before


async def test_administrators_give_and_take_global_roles(service: Service) -> None:
    path = f"/v1/users/{BEN}/roles/{MODERATOR}"
    assert (await service.call("PUT", path)).status_code == 403
    given = await service.call("PUT", path, by=ADMIN, If_Match='"1"')
    assert (given.status_code, given.headers["etag"]) == (204, '"2"')
    stale = await service.call("DELETE", path, by=ADMIN, If_Match='"1"')
    assert (stale.status_code, stale.json()["currentVersion"]) == (412, 2)
    assert (await service.call("GET", f"/v1/users/{BEN}", by=ADMIN)).json()["grants"] == ["moderator"]
    assert (await service.call("DELETE", path, by=ADMIN)).status_code == 204
    wrong = await service.call("PUT", f"/v1/users/{BEN}/roles/{LEADER}", by=ADMIN)
    assert (wrong.status_code, pointers(wrong)) == (422, ["/roleId"])
    last = await service.call("DELETE", f"/v1/users/{ADMIN}/roles/{ADMINISTRATOR}", by=ADMIN)
    assert (last.status_code, last.json()["code"]) == (409, "conflict")


async def test_what_somebody_holds_is_shown_to_whom_it_concerns(service: Service) -> None:
    team = await service.made("/v1/teams", {"name": "Gardeners"})
    await service.call("POST", f"/v1/teams/{team['id']}/members", {"userIds": [BEN]})
    await service.call("PUT", f"/v1/users/{BEN}/roles/{MODERATOR}", by=ADMIN)
    path = f"/v1/users/{BEN}/roles"

    own = (await service.call("GET", path, by=BEN)).json()
    assert [role["name"] for role in own["globalRoles"]] == ["moderator"]
    assert [(one["teamId"], [role["name"] for role in one["roles"]]) for one in own["teams"]] == [
        (team["id"], ["member"])
    ]
    assert (await service.call("GET", path, by=ADMIN)).json() == own
    assert (await service.call("GET", path, by=ANNA)).json() == {"globalRoles": None, "teams": own["teams"]}
    assert (await service.call("GET", path, by=EVE)).status_code == 403
    assert (await service.call("GET", f"/v1/users/{'f' * 24}/roles", by=ADMIN)).status_code == 404
