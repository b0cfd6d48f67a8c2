from tests.unit.entrypoints.http.service import ADMIN, BEN, Service, pointers


async def test_labels_are_shared_and_changed_by_their_makers(service: Service) -> None:
    made = await service.made("/v1/labels", {"name": "urgent"})
    path = f"/v1/labels/{made['id']}"

    assert (await service.call("GET", path, by=BEN)).json()["color"] == "#6b7280"
    assert (await service.call("PATCH", path, {"name": "x"}, by=BEN)).status_code == 403
    changed = await service.call("PATCH", path, {"color": "#ff0000"}, If_Match='"1"')
    assert (changed.json()["color"], changed.json()["version"]) == ("#ff0000", 2)


async def test_a_deleted_label_comes_back_unless_its_name_is_taken(service: Service) -> None:
    made = await service.made("/v1/labels", {"name": "urgent"})
    path = f"/v1/labels/{made['id']}"
    assert (await service.call("DELETE", path)).status_code == 204
    trash = await service.call("GET", "/v1/labels/trash")
    assert [item["id"] for item in trash.json()["items"]] == [made["id"]]
    other = await service.made("/v1/labels", {"name": "urgent"})

    taken = await service.call("POST", f"{path}/restore")
    assert (taken.status_code, pointers(taken)) == (409, ["/name"])
    await service.call("DELETE", f"/v1/labels/{other['id']}")
    assert (await service.call("POST", f"{path}/restore")).json()["isDeleted"] is False


async def test_labels_are_searched_by_word(service: Service) -> None:
    await service.made("/v1/labels", {"name": "very urgent"})
    await service.made("/v1/labels", {"name": "calm"})

    found = await service.call("GET", "/v1/labels?q=urgent")

    assert [item["name"] for item in found.json()["items"]] == ["very urgent"]


async def test_signing_in_for_development_makes_the_first_user_an_administrator(service: Service) -> None:
    first = await service.client.post("/v1/auth/dev/token", json={"email": "Ada@Example.org", "name": "Ada"})
    second = await service.client.post("/v1/auth/dev/token", json={"email": "ben@example.org"})

    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-store"
    assert (first.json()["user"]["email"], first.json()["user"]["grants"]) == ("ada@example.org", ["admin"])
    assert (second.json()["user"]["name"], second.json()["user"]["grants"]) == ("ben", [])
    bearer = {"Authorization": f"Bearer {second.json()['accessToken']}"}
    me = await service.client.get("/v1/users/me", headers=bearer)
    assert me.json()["id"] == second.json()["user"]["id"]


async def test_a_refresh_token_opens_nothing(service: Service) -> None:
    signed_in = (await service.client.post("/v1/auth/dev/token", json={"email": "ada@example.org"})).json()

    bearer = {"Authorization": f"Bearer {signed_in['refreshToken']}"}
    refused = await service.client.get("/v1/users/me", headers=bearer)

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


async def test_signing_in_without_proof_does_not_exist_in_production() -> None:
    service = Service(APP_ENV="production")

    refused = await service.client.post("/v1/auth/dev/token", json={"email": "ada@example.org"})

    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert (await service.stored())["users"] == []


async def test_an_address_that_is_none_is_refused(service: Service) -> None:
    refused = await service.client.post("/v1/auth/dev/token", json={"email": "nobody"})

    assert (refused.status_code, pointers(refused)) == (422, ["/email"])
    assert (await service.stored())["users"] == []


async def test_everybody_edits_his_own_profile_only(service: Service) -> None:
    ada = (await service.client.post("/v1/auth/dev/token", json={"email": "ada@example.org"})).json()["user"]
    path = f"/v1/users/{ada['id']}"

    assert (await service.call("PATCH", path, {"name": "Eve"}, by=BEN)).status_code == 403
    own = await service.call("PATCH", path, {"name": "Ada L."}, by=ada["id"], If_Match='"1"')
    assert (own.json()["name"], own.headers["cache-control"]) == ("Ada L.", "no-store")
    by_admin = await service.call("PATCH", path, {"name": "Ada"}, by=ADMIN)
    assert by_admin.json()["version"] == 3


async def test_users_are_searched_by_name_and_address(service: Service) -> None:
    for email in ("ada@example.org", "ben@sample.net"):
        await service.client.post("/v1/auth/dev/token", json={"email": email})

    found = await service.call("GET", "/v1/users?search=sample&count=exact")

    assert [user["email"] for user in found.json()["items"]] == ["ben@sample.net"]
    assert found.json()["total"] == 1


async def test_a_profile_changed_twice_with_one_key_changes_once(service: Service) -> None:
    ada = (await service.client.post("/v1/auth/dev/token", json={"email": "ada@example.org"})).json()["user"]
    path, key = f"/v1/users/{ada['id']}", "rename-1"

    first = await service.call("PATCH", path, {"name": "Ada L."}, by=ada["id"], Idempotency_Key=key)
    await service.call("PATCH", path, {"name": "Someone"}, by=ada["id"])
    again = await service.call("PATCH", path, {"name": "Ada L."}, by=ada["id"], Idempotency_Key=key)

    assert again.json() == first.json()
    assert (await service.call("GET", path)).json()["name"] == "Someone"
