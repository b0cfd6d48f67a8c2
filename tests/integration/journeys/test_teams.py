"""Teams from their first member to their last, and roles, in every store mode."""

import asyncio

import pytest

from domain.role import BUILT_IN_ROLES, RoleScope, built_in_id
from tests.integration.journeys.service import JourneyService, Person
from tests.unit.entrypoints.http.service import Json, pointers

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEADER = built_in_id(RoleScope.TEAM, "admin")
MEMBER = built_in_id(RoleScope.TEAM, "member")
OWNER = built_in_id(RoleScope.TEAM, "owner")
MODERATOR = built_in_id(RoleScope.GLOBAL, "moderator")


async def _team(service: JourneyService, owner: Person, *members: Person) -> tuple[Json, str]:
    made = await service.view(owner, "POST", "/v1/teams", {"name": "Gardeners"})
    path = f"/v1/teams/{made['id']}"
    if members:
        body = {"userIds": [each.id for each in members]}
        await service.call(owner, "POST", f"{path}/members", body, expect=200)
    return made, path


async def _roles_of_members(service: JourneyService, person: Person, path: str) -> dict[str, list[str]]:
    members = await service.items(person, f"{path}/members?limit=1")
    return {member["userId"]: member["roleIds"] for member in members}


async def test_the_built_in_roles_are_there_and_once(service: JourneyService, anna: Person) -> None:
    roles = await service.items(anna, "/v1/roles?limit=2&sort=createdAt")
    built_in = [(each["scope"], each["name"]) for each in roles if each["isBuiltIn"]]
    assert sorted(built_in) == sorted((str(scope), name) for scope, name, *_ in BUILT_IN_ROLES)
    assert {each["version"] for each in roles if each["isBuiltIn"]} == {1}


async def test_a_team_lives_through_all_that_happens_to_teams(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    made, path = await _team(service, anna)
    assert (await service.call(ben, "GET", path)).status_code == 404
    code = (await service.view(anna, "POST", f"{path}/invite-codes"))["code"]
    joined = await service.view(ben, "POST", "/v1/teams/join", {"code": code})
    assert joined == made
    assert [each["id"] for each in await service.items(ben, "/v1/teams?q=gardeners")] == [made["id"]]
    assert await _roles_of_members(service, ben, path) == {anna.id: [OWNER], ben.id: [MEMBER]}

    assert (await service.call(ben, "PATCH", path, {"name": "Mine"})).status_code == 403
    await service.call(anna, "PUT", f"{path}/members/{ben.id}/roles/{LEADER}", expect=204)
    renamed = await service.view(ben, "PATCH", path, {"name": "Pond", "pocId": ben.id}, If_Match='"1"')
    assert (renamed["name"], renamed["pocId"], renamed["version"]) == ("Pond", ben.id, 2)
    assert (await service.call(ben, "DELETE", f"{path}/members/{ben.id}")).status_code == 409
    given = await service.view(anna, "PATCH", path, {"ownerId": ben.id}, If_Match='"2"')
    assert given["ownerId"] == ben.id
    roles = await _roles_of_members(service, anna, path)
    assert roles == {anna.id: [MEMBER], ben.id: sorted((LEADER, OWNER))}

    await service.call(anna, "DELETE", f"{path}/members/{anna.id}", expect=204)
    back = await service.view(ben, "POST", f"{path}/rollback", {"version": 1}, If_Match='"3"')
    assert (back["name"], back["ownerId"], back["pocId"]) == ("Gardeners", ben.id, ben.id)
    assert (await service.call(anna, "GET", path)).status_code == 404
    await service.call(ben, "DELETE", f"{path}/invite-codes", If_Match='"4"', expect=204)
    refused = await service.call(anna, "POST", "/v1/teams/join", {"code": code})
    assert (refused.status_code, pointers(refused)) == (422, ["/code"])
    told = await service.items(ben, f"{path}/activity?limit=3")
    assert sum(each["collection"] == "teams" for each in told) == 5
    assert sum(each["collection"] == "team_members" for each in told) == 6
    assert [each["at"] for each in told] == sorted((each["at"] for each in told), reverse=True)
    await service.require_sound()


async def test_a_team_goes_with_its_members_and_comes_back_with_exactly_those(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    carl = await service.newcomer()
    _, path = await _team(service, anna, ben, carl)
    await service.call(anna, "DELETE", f"{path}/members/{carl.id}", expect=204)
    # Who went before went at another instant: that is how the two are told apart.
    await asyncio.sleep(0.002)
    await service.call(anna, "DELETE", path, If_Match='"1"', expect=204)
    assert (await service.call(ben, "GET", path)).status_code == 404
    assert await service.items(anna, "/v1/teams") == []
    assert len(await service.items(anna, "/v1/teams/trash")) == 1
    await service.require_sound()
    await service.view(anna, "POST", f"{path}/restore", If_Match='"2"')
    assert set(await _roles_of_members(service, ben, path)) == {anna.id, ben.id}
    assert (await service.call(carl, "GET", path)).status_code == 404
    await service.require_sound()


async def test_members_added_by_many_at_once_are_members_once(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    _, path = await _team(service, anna)
    carl = await service.newcomer()
    bodies = [{"userIds": [ben.id, carl.id]}, {"userIds": [carl.id, ben.id]}, {"userIds": [ben.id]}]
    answers = await asyncio.gather(
        *(service.call(anna, "POST", f"{path}/members", body) for body in bodies * 2)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert set(await _roles_of_members(service, anna, path)) == {anna.id, ben.id, carl.id}
    entries = await service.items(anna, f"{path}/activity")
    assert [entry["action"] for entry in entries] == ["CREATED"] * 4
    await service.require_sound()


async def test_an_owner_is_never_removed_however_a_transfer_and_a_removal_meet(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    for _ in range(6):
        _, path = await _team(service, anna, ben)
        gives = service.call(anna, "PATCH", path, {"ownerId": ben.id})
        removes = service.call(service.admin, "DELETE", f"{path}/members/{ben.id}")
        given, removed = await asyncio.gather(gives, removes)
        team = await service.view(service.admin, "GET", path)
        members = await _roles_of_members(service, service.admin, path)
        assert OWNER in members[team["ownerId"]]
        assert sum(OWNER in role_ids for role_ids in members.values()) == 1
        assert (given.status_code, removed.status_code) in {(200, 409), (422, 204), (409, 204)}
    await service.require_sound()


async def test_who_leaves_hands_his_open_tasks_back_to_the_team(
    service: JourneyService, anna: Person, ben: Person
) -> None:
    team, path = await _team(service, anna, ben)
    executors: dict[str, str | None] = {}
    for title, status in (("Dig", "IN_PROGRESS"), ("Weed", "DONE"), ("Water", "TODO")):
        task = await service.view(anna, "POST", "/v1/tasks", {"title": title})
        given = await service.view(
            anna, "POST", "/v1/task-assignments", _given_to(task["id"], team_id=team["id"])
        )
        address = f"/v1/task-assignments/{given['id']}"
        await service.view(ben, "PATCH", address, {"executorId": ben.id})
        await service.view(ben, "PATCH", f"/v1/tasks/{task['id']}", {"status": status})
        executors[task["id"]] = ben.id if status == "DONE" else None
    *_, trashed = executors
    await service.call(anna, "DELETE", f"/v1/tasks/{trashed}", expect=204)

    await service.call(ben, "DELETE", f"{path}/members/{ben.id}", expect=204)

    await service.view(anna, "POST", f"/v1/tasks/{trashed}/restore")
    for task_id, executor_id in executors.items():
        task = await service.view(anna, "GET", f"/v1/tasks/{task_id}")
        assert (task["assigneeId"], task["executorId"]) == (team["id"], executor_id), task["title"]
        assert (await service.call(ben, "GET", f"/v1/tasks/{task_id}")).status_code == 404, task["title"]
    await service.require_sound()


def _given_to(task_id: str, *, team_id: str) -> Json:
    return {"taskId": task_id, "assigneeId": team_id, "assigneeType": "TEAM"}


async def test_roles_are_made_granted_and_retired(service: JourneyService, anna: Person, ben: Person) -> None:
    _, path = await _team(service, anna, ben)
    name = f"planner {anna.id}"
    body = {"name": name, "scope": "TEAM", "permissions": ["CHANGE_TEAM", "GRANT_ROLES"]}
    role = await service.view(service.admin, "POST", "/v1/roles", body)
    taken = await service.call(service.admin, "POST", "/v1/roles", body)
    assert (taken.status_code, "/name" in pointers(taken)) == (409, True)
    await service.call(anna, "PUT", f"{path}/members/{ben.id}/roles/{role['id']}", expect=204)
    assert (await service.call(ben, "PUT", f"{path}/members/{ben.id}/roles/{LEADER}")).status_code == 403
    await service.call(ben, "PATCH", path, {"name": "Pond"}, expect=200)
    held = await service.view(ben, "GET", f"/v1/users/{ben.id}/roles")
    assert [sorted(each["name"] for each in one["roles"]) for one in held["teams"]] == [["member", name]]
    await service.call(service.admin, "DELETE", f"/v1/roles/{role['id']}", If_Match='"1"', expect=204)
    assert (await service.call(ben, "PATCH", path, {"name": "x"})).status_code == 403
    await service.require_sound()


async def test_grants_come_and_go_and_the_last_administrator_stays(
    service: JourneyService, anna: Person
) -> None:
    path = f"/v1/users/{anna.id}/roles/{MODERATOR}"
    assert (await service.call(anna, "PUT", path)).status_code == 403
    await service.call(service.admin, "PUT", path, If_Match='"1"', expect=204)
    assert (await service.view(anna, "GET", f"/v1/users/{anna.id}"))["grants"] == ["moderator"]
    await service.call(service.admin, "DELETE", path, If_Match='"2"', expect=204)
    before = await service.stored()
    administrator = built_in_id(RoleScope.GLOBAL, "admin")
    last = await service.call(service.admin, "DELETE", f"/v1/users/{service.admin.id}/roles/{administrator}")
    assert (last.status_code, last.json()["code"]) == (409, "conflict")
    assert await service.stored() == before
