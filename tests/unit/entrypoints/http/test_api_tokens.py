"""/v1/users/me/tokens, and requests with an API token."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from adapters.auth.api_token_texts import RandomApiTokens
from application.teams.commands import GetTeam
from domain.api_token import TOKENS_MAX
from domain.entity import Stamp
from tests.unit.builders import ANNA, BEN, NOON, actor
from tests.unit.entrypoints.http.company import gather
from tests.unit.entrypoints.http.service import ADMIN, Json, Service, pointers

PATH = "/v1/users/me/tokens"


@pytest.fixture
async def company(service: Service) -> Service:
    await gather(service)
    return service


async def issued(service: Service, *scopes: str, by: str = ANNA, **fields: Any) -> Json:
    return await service.made(PATH, {"name": "ci", "scopes": scopes or ("read",), **fields}, by=by)


async def sent(service: Service, token: str, method: str, path: str, body: Any = None) -> httpx.Response:
    return await service.client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})


async def test_a_token_is_shown_once_and_stored_as_a_hash(company: Service) -> None:
    made = await issued(company, "write", "read")
    token = made["token"]

    assert token.startswith(f"tnd_{made['id']}_")
    assert (made["scopes"], made["userId"], made["lastUsedAt"]) == (["read", "write"], ANNA, None)
    (record,) = await company.store.scan("api_tokens", after=None, limit=10)
    assert record["tokenHash"] == RandomApiTokens().read(token).hash
    for shown in (
        (await company.call("GET", PATH)).text,
        (await company.call("GET", f"{PATH}/{made['id']}")).text,
        (await company.call("GET", "/v1/audit?collection=api_tokens", by=ADMIN)).text,
        str(await company.store.scan("audit_logs", after=None, limit=1_000)),
    ):
        assert made["id"] in shown
        assert token not in shown
        assert record["tokenHash"] not in shown
    company.parts.access_log.flush()
    assert token.encode() not in company.parts.lines.getvalue()


async def test_a_token_acts_for_its_owner_until_it_is_deleted(company: Service) -> None:
    made = await issued(company, "write")

    assert (await sent(company, made["token"], "GET", "/v1/users/me")).json()["id"] == ANNA
    label = await sent(company, made["token"], "POST", "/v1/labels", {"name": "dry"})
    assert (label.status_code, label.json()["createdBy"]) == (201, ANNA)

    assert (await company.call("DELETE", f"{PATH}/{made['id']}", by=BEN)).status_code == 404
    assert (await sent(company, made["token"], "DELETE", f"{PATH}/{made['id']}")).status_code == 204
    refused = await sent(company, made["token"], "GET", "/v1/users/me")
    assert (refused.status_code, refused.json()["detail"]) == (
        401,
        "This API token was deleted; create a new one.",
    )
    assert (await company.call("GET", PATH)).json()["items"] == []


async def test_a_token_ends_with_its_time_and_with_its_owner(company: Service) -> None:
    end = company.clock.instant + timedelta(hours=1)
    short = await issued(company, expiresAt=end.isoformat(timespec="milliseconds"))
    usual, endless = await issued(company), await issued(company, expiresAt=None)
    assert usual["expiresAt"].startswith(f"{NOON + timedelta(days=90):%Y-%m-%d}")
    company.clock.pass_time(3_600)

    expired = await sent(company, short["token"], "GET", "/v1/users/me")
    assert (expired.status_code, expired.json()["detail"]) == (
        401,
        f"This API token expired on {end:%Y-%m-%d}; create a new one.",
    )
    assert (await sent(company, endless["token"], "GET", "/v1/users/me")).status_code == 200

    work = company.build(GetTeam).begin(actor())
    work.users.save((await work.users.get(ANNA)).delete(Stamp(NOON, ANNA)))
    await work.commit()
    gone = await sent(company, endless["token"], "GET", "/v1/labels")
    assert (gone.status_code, gone.json()["detail"]) == (
        401,
        "The account of this API token no longer exists.",
    )


@pytest.mark.parametrize(
    ("scopes", "reads", "writes", "administers"),
    [
        (("read",), 200, 403, 403),
        (("write",), 200, 201, 403),
        (("read", "admin"), 200, 403, 200),
        (("read", "write", "admin"), 200, 201, 200),
    ],
)
async def test_scopes_limit_what_an_administrators_token_does(
    company: Service, scopes: tuple[str, ...], reads: int, writes: int, administers: int
) -> None:
    token = (await issued(company, *scopes, by=ADMIN))["token"]
    statuses = [
        (await sent(company, token, "GET", "/v1/labels")).status_code,
        (await sent(company, token, "POST", "/v1/labels", {"name": "dry"})).status_code,
        (await sent(company, token, "GET", "/v1/sync/metrics")).status_code,
    ]
    assert statuses == [reads, writes, administers]


async def test_a_token_has_no_more_rights_than_its_owner_has_now(company: Service) -> None:
    token = (await issued(company, "write", "admin", by=ADMIN))["token"]
    plain = (await issued(company, "write", "admin"))["token"]
    work = company.build(GetTeam).begin(actor())
    work.users.save((await work.users.get(ADMIN)).holding(Stamp(NOON, ADMIN), ()))
    await work.commit()

    for each in (token, plain):
        refused = await sent(company, each, "GET", "/v1/sync/metrics")
        assert (refused.status_code, "scope `admin`" in refused.json()["detail"]) == (403, True)


async def test_a_token_creates_no_token_and_nobody_has_too_many(company: Service) -> None:
    token = (await issued(company, "write", "admin"))["token"]
    body = {"name": "more", "scopes": ["read"]}
    refused = await sent(company, token, "POST", PATH, body)
    assert (refused.status_code, "cannot create another one" in refused.json()["detail"]) == (403, True)

    for _ in range(TOKENS_MAX - 1):
        await issued(company)
    before = await company.stored()
    assert (await company.call("POST", PATH, body)).status_code == 409
    assert await company.stored() == before


@pytest.mark.parametrize(
    ("fields", "status", "pointer"),
    [
        ({"scopes": []}, 400, "/scopes"),
        ({"scopes": ["admin"]}, 422, "/scopes"),
        ({"scopes": ["root"]}, 400, "/scopes/0"),
        ({"name": "\u200b"}, 422, "/name"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, 422, "/expiresAt"),
    ],
)
async def test_a_token_that_could_not_be_used_is_not_created(
    company: Service, fields: Json, status: int, pointer: str
) -> None:
    before = await company.stored()
    answer = await company.call("POST", PATH, {"name": "ci", "scopes": ["read"], **fields})
    assert (answer.status_code, pointers(answer)) == (status, [pointer])
    assert await company.stored() == before


async def test_the_last_use_is_recorded_at_most_once_a_minute(company: Service) -> None:
    made = await issued(company)
    for _ in range(3):
        await sent(company, made["token"], "GET", "/v1/labels")
    first = (await company.call("GET", f"{PATH}/{made['id']}")).json()
    company.clock.pass_time(60)
    await sent(company, made["token"], "GET", "/v1/labels")
    second = (await company.call("GET", f"{PATH}/{made['id']}")).json()

    assert (first["version"], second["version"]) == (2, 3)
    assert first["lastUsedAt"] < second["lastUsedAt"]


async def test_wrong_tokens_are_limited_by_address_and_a_known_token_goes_on() -> None:
    service = Service(SIGN_IN_RATE_LIMIT="3/hour")
    await gather(service)
    token = (await issued(service))["token"]
    assert (await sent(service, token, "GET", "/v1/labels")).status_code == 200
    wrong = f"tnd_{'f' * 24}_{'0' * 64}"
    mixed = token[:-1] + ("0" if token[-1] != "0" else "1")

    statuses = [
        (await sent(service, each, "GET", "/v1/labels")).status_code
        for each in (wrong, mixed, "tnd_x", wrong)
    ]

    assert statuses == [401, 401, 401, 429]
    assert (await sent(service, token, "GET", "/v1/labels")).status_code == 200
    other = service.client_at("192.0.2.7")
    answer = await other.get("/v1/labels", headers={"Authorization": f"Bearer {wrong}"})
    assert answer.status_code == 401
