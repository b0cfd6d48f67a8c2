import json
from typing import Any

import pytest

from entrypoints.http.protocol.request import limit_key
from tests.unit.entrypoints.http.service import Service

JOIN = ("POST", "/v1/teams/join", {"code": "abcdefgh"})
LIMITED: list[tuple[str, str, Any]] = [
    ("POST", "/v1/auth/refresh", {"refreshToken": "a.b"}),
    ("POST", "/v1/auth/logout", {"refreshToken": "a.b"}),
    ("POST", "/v1/auth/dev/token", {"email": "anna@example.org"}),
    ("GET", "/v1/auth/google/login", None),
    ("GET", "/v1/auth/google/callback?state=a&code=b", None),
    JOIN,
]
FORGED = ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "CF-Connecting-IP", "True-Client-IP"]


@pytest.mark.parametrize(("method", "path", "body"), LIMITED, ids=[row[1] for row in LIMITED])
async def test_what_tries_out_secrets_is_limited_by_address(method: str, path: str, body: Any) -> None:
    service = Service(SIGN_IN_RATE_LIMIT="3/hour")
    client = service.client_at("192.0.2.1")

    answers = [
        await client.request(method, path, json=body, headers={"X-Forwarded-For": f"198.51.100.{number}"})
        for number in range(4)
    ]

    assert [answer.status_code == 429 for answer in answers] == [False, False, False, True]
    assert answers[3].json()["code"] == "rate_limited"
    assert int(answers[3].headers["retry-after"]) >= 1
    # Sign-ins are limited by e-mail address, too.
    another = {"email": "ben@example.org"} if body and "email" in body else body
    elsewhere = await service.client_at("192.0.2.2").request(method, path, json=another)
    assert elsewhere.status_code != 429


async def test_no_token_is_a_way_around_the_limit_of_joining() -> None:
    service = Service(SIGN_IN_RATE_LIMIT="2/hour")
    method, path, body = JOIN

    statuses = [
        (await service.call(method, path, body, by=f"{number:024x}")).status_code for number in range(3)
    ]

    assert statuses[2] == 429


async def statuses_at(service: Service, address: str, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await service.client_at(address).post(
        "/v1/auth/refresh", json={"refreshToken": "a.b"}, headers=named
    )
    return answer.status_code


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1"])
async def test_nobody_is_believed_by_default(address: str, name: str) -> None:
    service = Service(SIGN_IN_RATE_LIMIT="5/hour")

    statuses = [await statuses_at(service, address, **{name: f"203.0.113.{number}"}) for number in range(8)]

    assert statuses == [401] * 5 + [429] * 3


@pytest.mark.parametrize("name", FORGED[1:])
async def test_of_a_trusted_proxy_one_header_counts(name: str) -> None:
    service = Service(SIGN_IN_RATE_LIMIT="1/hour", TRUSTED_PROXIES="10.0.0.0/8")

    statuses = [
        await statuses_at(service, "10.0.0.1", **{name: f"203.0.113.{number}"}) for number in range(2)
    ]

    assert statuses == [401, 429]


FORWARDED = [
    ("203.0.113.9", "203.0.113.9"),
    ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
    ("198.51.100.1, 203.0.113.9, 10.0.0.2,10.0.0.3", "203.0.113.9"),
    ("203.0.113.9:4711", "203.0.113.9"),
    ("[2001:db8:1:2:3::9]:443", "2001:db8:1:2:3::9"),
    ("::ffff:203.0.113.9", "203.0.113.9"),
    ("203.0.113.9, nonsense, 10.0.0.2", "10.0.0.2"),
    ("10.0.0.5, 10.0.0.2", "10.0.0.5"),
    ("nonsense", "10.0.0.1"),
    ("", "10.0.0.1"),
    (",".join(["203.0.113.9"] * 10_000), "203.0.113.9"),
]


@pytest.mark.parametrize(("forwarded", "client"), FORWARDED, ids=[row[0][:40] for row in FORWARDED])
async def test_behind_a_trusted_proxy_the_last_address_that_is_none_is_the_client(
    forwarded: str, client: str
) -> None:
    service = Service(TRUSTED_PROXIES="10.0.0.0/8")

    await service.client_at("10.0.0.1").get("/v1/projects", headers={"X-Forwarded-For": forwarded})

    service.parts.access_log.flush()
    (line,) = [json.loads(line) for line in service.parts.lines.getvalue().splitlines()]
    assert line["clientAddress"] == client


async def test_only_a_trusted_proxy_says_that_the_client_uses_https() -> None:
    service = Service(TRUSTED_PROXIES="10.0.0.1")
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
    }

    pages = [
        (await service.client_at(address).get("/", headers=headers)).text
        for address in ("10.0.0.1", "10.0.0.2")
    ]

    assert ["https://tandem.test" in page for page in pages] == [True, False]
    assert not any("evil" in page for page in pages)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
async def test_an_ipv6_client_counts_by_its_network(one: str, other: str, *, is_same: bool) -> None:
    assert (limit_key(one) == limit_key(other)) == is_same
    service = Service(SIGN_IN_RATE_LIMIT="1/hour")
    assert [await statuses_at(service, one), await statuses_at(service, other)] == [
        401,
        429 if is_same else 401,
    ]
