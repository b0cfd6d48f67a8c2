from datetime import datetime, timedelta

import pytest

from domain.role import RoleScope, built_in_id
from tests.unit.builders import NOON
from tests.unit.entrypoints.http.company import CARL, EVE, gather
from tests.unit.entrypoints.http.service import ADMIN, ANNA, BEN, Json, Service, pointers

LEADER = built_in_id(RoleScope.TEAM, "admin")
MEMBER = built_in_id(RoleScope.TEAM, "member")
OWNER = built_in_id(RoleScope.TEAM, "owner")


@pytest.fixture(autouse=True)
async def _everybody(service: Service) -> None:
    await gather(service)


async def _team(service: Service, *member_ids: str) -> tuple[Json, str]:
    """Anna's team and its address."""
    made = await service.made("/v1/teams", {"name": "Gardeners"})
    path = f"/v1/teams/{made['id']}"
    if member_ids:
        added = await service.call("POST", f"{path}/members", {"userIds": list(member_ids)})
        assert added.status_code == 200, added.text
    return made, path


async def _members(service: Service, path: str) -> list[str]:
    answer = await service.call("GET", f"{path}/members", by=ADMIN)
    return [item["userId"] for item in answer.json()["items"]]


async def test_a_team_is_made_read_changed_and_listed(service: Service) -> None:
    made = await service.call("POST", "/v1/teams", {"name": "Gardeners", "pocId": ANNA})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    path = made.headers["location"]
    read = await service.call("GET", path)
    assert read.json() == made.json()
    assert {"name", "description", "ownerId", "pocId"} < set(read.json())
    assert "inviteSeries" not in read.json()
    assert (await service.call("GET", path, If_None_Match='"1"')).status_code == 304

    body = {"name": "Pond", "description": "Deep", "pocId": None}
    changed = await service.call("PATCH", path, body, If_Match='"1"')
    assert (changed.json()["name"], changed.json()["pocId"], changed.json()["version"]) == ("Pond", None, 2)
    stale = await service.call("PATCH", path, {"name": "x"}, If_Match='"1"')
    assert (stale.status_code, stale.json()["currentVersion"]) == (412, 2)
    listed = await service.call("GET", "/v1/teams?q=deep&count=exact&sort=-name")
    assert ([item["name"] for item in listed.json()["items"]], listed.json()["total"]) == (["Pond"], 1)
    assert (await service.call("GET", f"/v1/teams?ownerId={BEN}")).json()["items"] == []
    assert (await service.call("GET", "/v1/teams", by=EVE)).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 400, "/name"),
        ({"name": ""}, 400, "/name"),
        ({"name": "x" * 201}, 400, "/name"),
        ({"name": "x", "ownerId": ANNA}, 400, "/ownerId"),
        ({"name": "x", "inviteSeries": 7}, 400, "/inviteSeries"),
        ({"name": "x", "pocId": "nobody"}, 400, "/pocId"),
        ({"name": "x", "pocId": BEN}, 422, "/pocId"),
        ({"name": "  "}, 422, "/name"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_with_its_pointer(
    service: Service, body: Json, status: int, pointer: str
) -> None:
    before = await service.stored()
    refused = await service.call("POST", "/v1/teams", body)
    assert (refused.status_code, pointers(refused)) == (status, [pointer])
    assert await service.stored() == before


async def test_a_team_has_the_version_contract_and_the_trash(service: Service) -> None:
    _, path = await _team(service, BEN)
    await service.call("PATCH", path, {"name": "Pond"})
    difference = (await service.call("GET", f"{path}/diff?from=1&to=2", by=BEN)).json()
    assert difference["changes"] == {"name": {"before": "Gardeners", "after": "Pond"}}
    assert (await service.call("GET", f"{path}/versions/1")).json()["name"] == "Gardeners"
    back = await service.call("POST", f"{path}/rollback", {"version": 1}, If_Match='"2"')
    assert (back.json()["name"], back.json()["version"]) == ("Gardeners", 3)
    audit = (await service.call("GET", f"{path}/audit")).json()["items"]
    assert [entry["action"] for entry in audit] == ["ROLLED_BACK", "UPDATED", "CREATED"]

    assert (await service.call("DELETE", path, by=BEN)).status_code == 403
    deleted = await service.call("DELETE", path, If_Match='"3"')
    assert (deleted.status_code, deleted.headers["etag"]) == (204, '"4"')
    assert (await service.call("GET", path, by=BEN)).status_code == 404
    assert len((await service.call("GET", "/v1/teams/trash")).json()["items"]) == 1
    assert (await service.call("GET", "/v1/teams/trash", by=BEN)).json()["items"] == []
    restored = await service.call("POST", f"{path}/restore", If_Match='"4"')
    assert (restored.json()["isDeleted"], await _members(service, path)) == (False, [ANNA, BEN])


async def test_members_are_paged_as_they_came_and_shown_by_name(service: Service) -> None:
    _, path = await _team(service, BEN, CARL)
    first = (await service.call("GET", f"{path}/members?limit=2&count=exact", by=BEN)).json()
    rest = await service.call(
        "GET", f"{path}/members?limit=2&cursor={first['nextCursor']}&count=exact", by=BEN
    )
    seen = [*first["items"], *rest.json()["items"]]
    assert (first["total"], len(seen), rest.json()["nextCursor"]) == (3, 3, None)
    assert {item["name"] for item in seen} == {"Anna", "Ben", "Carl"}
    anna = seen[0]
    assert (anna["userId"], anna["roleIds"]) == (ANNA, [OWNER])
    assert datetime.fromisoformat(anna["joinedAt"]) >= NOON
    assert set(anna) == {"userId", "name", "roleIds", "joinedAt", "version"}


async def test_members_are_added_once_for_one_key(service: Service) -> None:
    _, path = await _team(service)
    body = {"userIds": [BEN]}
    first = await service.call("POST", f"{path}/members", body, Idempotency_Key="key-1")
    await service.call("DELETE", f"{path}/members/{BEN}")
    again = await service.call("POST", f"{path}/members", body, Idempotency_Key="key-1")
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert await _members(service, path) == [ANNA]
    other = await service.call("POST", f"{path}/members", {"userIds": [CARL]}, Idempotency_Key="key-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("user_ids", "status", "pointer"),
    [
        ([], 400, "/userIds"),
        ([BEN] * 101, 400, "/userIds"),
        ([BEN, "x"], 400, "/userIds/1"),
        (["f" * 24, BEN], 422, "/userIds/0"),
    ],
)
async def test_members_who_cannot_be_are_refused_and_nobody_is_added(
    service: Service, user_ids: list[str], status: int, pointer: str
) -> None:
    _, path = await _team(service)
    before = await service.stored()
    refused = await service.call("POST", f"{path}/members", {"userIds": user_ids})
    assert (refused.status_code, pointers(refused)) == (status, [pointer])
    assert await service.stored() == before


async def test_members_leave_and_are_removed_but_owner_and_contact_stay(service: Service) -> None:
    _, path = await _team(service, BEN, CARL)
    await service.call("PATCH", path, {"pocId": CARL})
    before = await service.stored()
    for user_id, by, status in (
        (ANNA, ANNA, 409),
        (CARL, ANNA, 409),
        (CARL, CARL, 409),
        (CARL, BEN, 403),
        (EVE, ANNA, 404),
        ("nonsense", ANNA, 404),
        (BEN, EVE, 404),
    ):
        refused = await service.call("DELETE", f"{path}/members/{user_id}", by=by)
        assert refused.status_code == status, (user_id, by, refused.text)
    assert await service.stored() == before
    left = await service.call("DELETE", f"{path}/members/{BEN}", by=BEN)
    assert (left.status_code, left.content) == (204, b"")
    assert await _members(service, path) == [ANNA, CARL]
    assert (await service.call("GET", path, by=BEN)).status_code == 404


async def test_a_code_opens_the_team_until_it_is_revoked_or_a_week_is_over(service: Service) -> None:
    made, path = await _team(service)
    invited = await service.call("POST", f"{path}/invite-codes")
    code, expires_at = invited.json()["code"], datetime.fromisoformat(invited.json()["expiresAt"])
    assert (invited.status_code, invited.headers["cache-control"]) == (200, "no-store")
    assert timedelta(days=7) - timedelta(seconds=2) < expires_at - service.clock.instant <= timedelta(days=7)

    joined = await service.call("POST", "/v1/teams/join", {"code": code.lower()}, by=BEN, Idempotency_Key="k")
    assert (joined.status_code, joined.json()["id"], joined.headers["etag"]) == (200, made["id"], '"1"')
    again = await service.call("POST", "/v1/teams/join", {"code": code.lower()}, by=BEN, Idempotency_Key="k")
    assert (again.json(), again.headers["idempotency-replayed"]) == (joined.json(), "true")
    assert (await service.call("POST", f"{path}/invite-codes", by=BEN)).status_code == 403

    assert (await service.call("DELETE", f"{path}/invite-codes", by=BEN)).status_code == 403
    assert (await service.call("DELETE", f"{path}/invite-codes", If_Match='"7"')).status_code == 412
    revoked = await service.call("DELETE", f"{path}/invite-codes", If_Match='"1"')
    assert (revoked.status_code, revoked.headers["etag"]) == (204, '"2"')
    late = (await service.call("POST", f"{path}/invite-codes")).json()["code"]
    service.clock.pass_time(7 * 24 * 3600)
    before = await service.stored()
    answers = [
        await service.call("POST", "/v1/teams/join", {"code": each}, by=EVE)
        for each in (code, late, "nonsense", "A" * 56)
    ]
    assert {(each.status_code, *pointers(each)) for each in answers} == {(422, "/code")}
    unknown = "is not a code of this installation; check that it was copied completely"
    reasons = [each.json()["errors"][0]["message"] for each in answers]
    assert reasons == [f"expired on {expires_at:%Y-%m-%d}; ask for a new one"] * 2 + [unknown] * 2
    assert await service.stored() == before


async def test_activity_shows_members_who_came_and_went(service: Service) -> None:
    made, path = await _team(service, BEN)
    await service.call("PUT", f"{path}/members/{BEN}/roles/{LEADER}")
    await service.call("DELETE", f"{path}/members/{BEN}")
    first = await service.call("GET", f"{path}/activity?limit=2")
    second = await service.call("GET", f"{path}/activity?cursor={first.json()['nextCursor']}&limit=50")
    items = [*first.json()["items"], *second.json()["items"]]
    assert [item["action"] for item in items] == ["DELETED", "UPDATED", "CREATED", "CREATED", "CREATED"]
    assert items[1]["changes"]["roleIds"] == {"before": [MEMBER], "after": sorted((MEMBER, LEADER))}
    assert items[2]["changes"]["userId"]["after"] == BEN
    assert {item["entityId"] for item in items if item["collection"] == "teams"} == {made["id"]}
    for stranger in (BEN, EVE):
        assert (await service.call("GET", f"{path}/activity", by=stranger)).status_code == 404


async def test_strangers_do_not_learn_that_a_team_exists(service: Service) -> None:
    _, path = await _team(service, BEN)
    before = await service.stored()
    for method, address, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/restore", None),
        ("GET", "/versions", None),
        ("GET", "/versions/1", None),
        ("GET", "/diff?from=1&to=1", None),
        ("GET", "/audit", None),
        ("POST", "/rollback", {"version": 1}),
        ("GET", "/members", None),
        ("POST", "/members", {"userIds": [EVE]}),
        ("DELETE", f"/members/{BEN}", None),
        ("DELETE", f"/members/{EVE}", None),
        ("PUT", f"/members/{BEN}/roles/{LEADER}", None),
        ("DELETE", f"/members/{BEN}/roles/{LEADER}", None),
        ("POST", "/invite-codes", None),
        ("DELETE", "/invite-codes", None),
        ("GET", "/activity", None),
    ):
        answer = await service.call(method, f"{path}{address}", body, by=EVE)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, address)
    assert await service.stored() == before


async def test_team_roles_are_given_and_taken_over_http(service: Service) -> None:
    _, path = await _team(service, BEN)
    role_path = f"{path}/members/{BEN}/roles/{LEADER}"
    assert (await service.call("PUT", role_path, by=BEN)).status_code == 403
    given = await service.call("PUT", role_path)
    assert (given.status_code, given.content) == (204, b"")
    assert (await service.call("PATCH", path, {"name": "Pond"}, by=BEN)).status_code == 200
    assert (await service.call("DELETE", role_path)).status_code == 204
    assert (await service.call("PATCH", path, {"name": "x"}, by=BEN)).status_code == 403
    assert (await service.call("PUT", f"{path}/members/{BEN}/roles/{OWNER}")).status_code == 409
    moderator = built_in_id(RoleScope.GLOBAL, "moderator")
    wrong = await service.call("PUT", f"{path}/members/{BEN}/roles/{moderator}")
    assert (wrong.status_code, pointers(wrong)) == (422, ["/roleId"])
    assert (await service.call("PUT", f"{path}/members/{BEN}/roles/{'f' * 24}")).status_code == 404
    assert (await service.call("PUT", f"{path}/members/{EVE}/roles/{LEADER}")).status_code == 404


async def _version(service: Service, path: str, user_id: str) -> int:
    items = (await service.call("GET", f"{path}/members")).json()["items"]
    return next(int(item["version"]) for item in items if item["userId"] == user_id)


MEMBER_WRITES = [("PUT", f"/roles/{LEADER}"), ("DELETE", f"/roles/{LEADER}"), ("DELETE", "")]


@pytest.mark.parametrize(("method", "suffix"), MEMBER_WRITES)
async def test_whoever_saw_another_version_of_a_member_changes_nothing(
    service: Service, method: str, suffix: str
) -> None:
    _, path = await _team(service, BEN)
    member = f"{path}/members/{BEN}"
    seen = await _version(service, path, BEN)
    given = await service.call("PUT", f"{member}/roles/{LEADER}", If_Match=f'"{seen}"')
    assert (given.status_code, given.headers["etag"]) == (204, f'"{seen + 1}"')
    before = await service.stored()

    for tags in (f'"{seen}"', f'"{seen}", "77"', '"999"'):
        stale = await service.call(method, f"{member}{suffix}", If_Match=tags)
        assert (stale.status_code, stale.json()["currentVersion"]) == (412, seen + 1), (tags, stale.text)

    assert await service.stored() == before
    current = await service.call(method, f"{member}{suffix}", If_Match=f'"{seen + 1}"')
    assert current.status_code == 204


async def test_writers_may_be_obliged_to_name_the_version_of_a_member() -> None:
    service = Service(REQUIRE_IF_MATCH="true")
    await gather(service)
    _, path = await _team(service, BEN)
    before = await service.stored()

    for method, suffix in MEMBER_WRITES:
        refused = await service.call(method, f"{path}/members/{BEN}{suffix}")
        assert (refused.status_code, refused.json()["code"]) == (428, "precondition_required"), suffix

    assert await service.stored() == before
    removed = await service.call("DELETE", f"{path}/members/{BEN}", If_Match='"1"')
    assert (removed.status_code, await _members(service, path)) == (204, [ANNA])
