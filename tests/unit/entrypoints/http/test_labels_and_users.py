from functools import partial

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from domain.user import User
from tests.unit.builders import actor, numbered_id, stamp
from tests.unit.entrypoints.http.service import ADMIN, BEN, Json, Service, pointers


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
    assert "Rename that one, then restore this one." in taken.json()["detail"]
    await service.call("PATCH", f"/v1/labels/{other['id']}", {"name": "soon"})
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


async def test_a_dot_after_the_host_opens_no_other_account(service: Service) -> None:
    answers = [
        (await service.client.post("/v1/auth/dev/token", json={"email": address})).json()
        for address in ("kate@example.org.", "kate@example.org", "KATE@Example.org.")
    ]

    users = {(answer["user"]["id"], answer["user"]["email"]) for answer in answers}
    assert users == {(answers[0]["user"]["id"], "kate@example.org")}
    bearer = {"Authorization": f"Bearer {answers[0]['accessToken']}"}
    found = await service.client.get("/v1/users?search=Kate@example.org.", headers=bearer)
    assert [user["id"] for user in found.json()["items"]] == [answers[0]["user"]["id"]]


async def test_the_sign_for_kelvin_opens_no_account_of_a_k(service: Service) -> None:
    kate = (await service.client.post("/v1/auth/dev/token", json={"email": "kate@example.org"})).json()
    before = await service.stored()
    address = "\N{KELVIN SIGN}ate@example.org"

    refused = await service.client.post("/v1/auth/dev/token", json={"email": address})

    assert (refused.status_code, pointers(refused)) == (422, ["/email"])
    assert await service.stored() == before
    found = await service.call("GET", f"/v1/users?search={address}", by=kate["user"]["id"])
    assert found.json()["items"] == []


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


async def signed_in(service: Service, email: str, name: str) -> Json:
    """The user with this address, made where nobody has it."""
    answer = await service.client.post("/v1/auth/dev/token", json={"email": email, "name": name})
    service.client.cookies.clear()
    user: Json = answer.json()["user"]
    return user


@pytest.fixture
async def people(service: Service) -> tuple[Json, Json]:
    """The administrator, who came first, and Ada, who holds nothing."""
    admin = await signed_in(service, "first@sample.net", "First Berg")
    return admin, await signed_in(service, "ada@example.org", "Ada Berg")


async def found(service: Service, search: str, by: str) -> list[Json]:
    answer = await service.call("GET", f"/v1/users?search={search}&count=exact", by=by)
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == len(answer.json()["items"])
    assert answer.headers["cache-control"] == "no-store"
    items: list[Json] = answer.json()["items"]
    return items


async def test_users_are_searched_by_name_or_by_the_whole_address(
    service: Service, people: tuple[Json, Json]
) -> None:
    admin, ada = people
    for search, expected in (
        ("berg", [admin["id"], ada["id"]]),
        ("ada%20BERG", [ada["id"]]),
        ("ADA%40example.org", [ada["id"]]),
        ("example.org", []),
        ("example", []),
        ("%40example.org", []),
        ("ada%40example.or", []),
    ):
        assert [user["id"] for user in await found(service, search, by=BEN)] == expected, search


async def test_addresses_and_grants_are_shown_to_oneself_and_administrators(
    service: Service, people: tuple[Json, Json]
) -> None:
    admin, ada = people
    path = f"/v1/users/{admin['id']}"

    by_stranger = (await service.call("GET", path, by=BEN)).json()
    assert (by_stranger["name"], by_stranger["email"], by_stranger["grants"]) == ("First Berg", None, None)
    assert (await service.call("GET", path, by=ADMIN)).json() == admin
    assert (await service.call("GET", path, by=admin["id"])).json() == admin
    # Whoever knows an address finds its user, and learns nothing more.
    for search in ("berg", "first%40sample.net"):
        for user in await found(service, search, by=ada["id"]):
            is_she = user["id"] == ada["id"]
            assert (user["email"], user["grants"]) == (("ada@example.org", []) if is_she else (None, None))
    assert [user["email"] for user in await found(service, "berg", by=ADMIN)] == [
        admin["email"],
        ada["email"],
    ]


async def test_nobody_learns_of_users_from_the_audit_trail(
    service: Service, people: tuple[Json, Json]
) -> None:
    _, ada = people
    renamed = await service.call("PATCH", f"/v1/users/{ada['id']}", {"name": "Ada L."}, by=ADMIN)
    assert renamed.json()["email"] == "ada@example.org"
    query = f"/v1/audit?collection=users&entityId={ada['id']}"

    whole = (await service.call("GET", query, by=ADMIN)).json()["items"]
    assert [entry["action"] for entry in whole] == ["UPDATED", "CREATED"]
    assert whole[1]["changes"]["email"]["after"] == "ada@example.org"
    for reader in (BEN, ada["id"]):
        assert (await service.call("GET", query, by=reader)).json()["items"] == []
    # Whoever was an administrator keeps what he did, without the addresses he did it to.
    begin = partial(StoredUnitOfWork, service.store, SortableIdentifiers())
    work = begin(actor(BEN))
    user = User.create(
        numbered_id(5), stamp(by=BEN), email="cleo@example.org", name="Cleo", grants=("admin",)
    )
    work.users.save(user)
    await work.commit()
    (own,) = (await service.call("GET", "/v1/audit?collection=users", by=BEN)).json()["items"]
    assert (own["entityId"], own["changes"]["name"]["after"]) == (user.id, "Cleo")
    assert not {"email", "grants"} & set(own["changes"])
    for way in ("versions", "versions/1", "audit", "diff?from=1&to=2"):
        assert (await service.call("GET", f"/v1/users/{ada['id']}/{way}", by=BEN)).status_code == 404


async def test_the_audit_trail_shows_no_token(service: Service, people: tuple[Json, Json]) -> None:
    stored = await service.store.scan("sessions", after=None, limit=10)
    hashes = [token["hash"] for record in stored for token in record["tokens"]]
    assert hashes

    answer = await service.call("GET", "/v1/audit?collection=sessions", by=ADMIN)

    entries = answer.json()["items"]
    assert {entry["entityId"] for entry in entries} == {record["id"] for record in stored}
    assert all(entry["changes"]["userId"]["after"] for entry in entries)
    assert "tokens" not in answer.text
    assert not [each for each in hashes if each in answer.text]


async def test_a_profile_changed_twice_with_one_key_changes_once(service: Service) -> None:
    ada = (await service.client.post("/v1/auth/dev/token", json={"email": "ada@example.org"})).json()["user"]
    path, key = f"/v1/users/{ada['id']}", "rename-1"

    first = await service.call("PATCH", path, {"name": "Ada L."}, by=ada["id"], Idempotency_Key=key)
    await service.call("PATCH", path, {"name": "Someone"}, by=ada["id"])
    again = await service.call("PATCH", path, {"name": "Ada L."}, by=ada["id"], Idempotency_Key=key)

    assert again.json() == first.json()
    assert (await service.call("GET", path)).json()["name"] == "Someone"
