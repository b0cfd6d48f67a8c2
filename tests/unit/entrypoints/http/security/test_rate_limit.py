import pytest

from entrypoints.composition.settings import RateLimit
from entrypoints.http.protocol.problems import TooManyRequests
from entrypoints.http.security.rate_limit import BUCKETS_MAX, RateLimiter
from tests.unit.entrypoints.http.service import Service


def test_no_setting_is_no_limiter() -> None:
    assert RateLimiter.of(None) is None


def test_one_request_too_many_is_told_when_to_come_back() -> None:
    limiter = RateLimiter.of(RateLimit(2, 3_600))
    assert limiter is not None
    for _ in range(2):
        limiter.require("anna")

    with pytest.raises(TooManyRequests) as caught:
        limiter.require("anna")

    assert 1 <= caught.value.retry_after_seconds <= 1_800
    limiter.require("ben")


def test_a_bucket_refills_evenly() -> None:
    limiter = RateLimiter(2, 10.0)
    waits = [limiter.take("anna", second).retry_after_seconds for second in (0.0, 0.0, 0.0, 4.9, 5.1, 5.2)]
    assert waits == [0, 0, 5, 1, 0, 5]


def test_callers_are_forgotten_in_time() -> None:
    limiter = RateLimiter(1, 3_600.0)
    for number in range(BUCKETS_MAX + 1):
        limiter.take(str(number), 0.0)

    assert limiter.take("0", 0.0).retry_after_seconds == 0
    assert limiter.take(str(BUCKETS_MAX), 0.0).retry_after_seconds > 0


async def sign_in(service: Service, email: str) -> int:
    return (await service.client.post("/v1/auth/dev/token", json={"email": email})).status_code


async def test_sign_ins_are_counted_by_address_apart_from_everything_else() -> None:
    service = Service(SIGN_IN_RATE_LIMIT="3/hour", RATE_LIMIT="5/hour")

    statuses = [await sign_in(service, f"user{number}@example.org") for number in range(4)]
    refused = await service.client.post("/v1/auth/dev/token", json={"email": "more@example.org"})

    assert statuses == [200, 200, 200, 429]
    assert refused.json()["code"] == "rate_limited"
    assert int(refused.headers["retry-after"]) >= 1
    assert len((await service.stored())["users"]) == 3
    others = [(await service.call("GET", "/v1/projects")).status_code for _ in range(6)]
    assert others == [200] * 5 + [429]


async def test_a_token_in_hand_buys_no_further_sign_ins() -> None:
    service = Service(SIGN_IN_RATE_LIMIT="1/hour")
    await sign_in(service, "anna@example.org")

    answer = await service.call("POST", "/v1/auth/dev/token", {"email": "ben@example.org"})

    assert answer.status_code == 429


async def test_sign_ins_to_one_address_are_counted_wherever_they_come_from() -> None:
    service = Service(SIGN_IN_RATE_LIMIT="3/hour")
    for number in range(4):
        client = service.client_at(f"10.0.0.{number}")
        answer = await client.post("/v1/auth/dev/token", json={"email": " ANNA@example.org"})
        assert answer.status_code == (200 if number < 3 else 429)
        elsewhere = await client.post("/v1/auth/dev/token", json={"email": f"user{number}@example.org"})
        assert elsewhere.status_code == 200


async def test_nothing_is_counted_in_tests_unless_asked_for() -> None:
    service = Service()
    assert {await sign_in(service, "anna@example.org") for _ in range(20)} == {200}


@pytest.mark.parametrize(
    "address", ["/v1/auth/dev/token/", "//v1/auth/dev/token", "/v1//auth/dev/token", "/v1/auth/dev/token//"]
)
async def test_no_other_spelling_of_an_address_is_a_way_around_its_limit(address: str) -> None:
    service = Service(SIGN_IN_RATE_LIMIT="1/hour")
    answers = [
        await service.client.post(f"http://tandem.test{address}", json={"email": "anna@example.org"})
        for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert answers[0].json()["code"] == "not_found"
    assert (await service.stored())["users"] == []


@pytest.mark.parametrize("address", ["/v1/projects/", "//v1/projects", "/v1//projects"])
async def test_an_address_has_one_spelling(service: Service, address: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        assert (await service.call(method, f"http://tandem.test{address}")).status_code == 404
