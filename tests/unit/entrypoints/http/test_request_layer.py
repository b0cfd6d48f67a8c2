import asyncio
import json
from typing import Any

import pytest

from application.accounts.callers import Callers
from entrypoints.http.request_layer import Deadlines, Limits, RequestLayer
from entrypoints.http.security.authentication import Authentication
from entrypoints.http.security.cross_origin import CrossOrigin
from entrypoints.http.security.rate_limit import BUCKETS_MAX, RateLimiter
from tests.unit.entrypoints.http.service import BEN, Service


def access_lines(service: Service) -> list[dict[str, Any]]:
    service.parts.access_log.flush()
    return [json.loads(line) for line in service.parts.lines.getvalue().splitlines()]


async def test_a_request_id_is_kept_echoed_and_written_everywhere(service: Service) -> None:
    made = await service.call("POST", "/v1/tasks", {"title": "Dig"}, X_Request_ID="Dig_1.a-b")

    assert made.headers["x-request-id"] == "Dig_1.a-b"
    assert (await service.stored())["audit_logs"][0]["requestId"] == "Dig_1.a-b"
    assert access_lines(service)[0]["requestId"] == "Dig_1.a-b"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"b', "a/b"])
async def test_an_unsafe_request_id_is_replaced(service: Service, given: str) -> None:
    first = await service.call("GET", "/livez", X_Request_ID=given)
    second = await service.call("GET", "/livez", X_Request_ID=given)

    assert first.headers["x-request-id"] not in (given, second.headers["x-request-id"])


async def test_every_answer_carries_the_safety_headers(service: Service) -> None:
    for path in ("/v1/projects", "/nope", "/", "/livez"):
        headers = (await service.call("GET", path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "cache-control" in headers
        assert len(headers.get_list("content-security-policy")) == 1


async def test_other_origins_are_not_invited(service: Service) -> None:
    answer = await service.call("GET", "/v1/projects", Origin="https://elsewhere.example")

    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_head_is_get_without_the_body(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"})

    got = await service.call("GET", f"/v1/tasks/{made['id']}")
    head = await service.call("HEAD", f"/v1/tasks/{made['id']}")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert head.headers["etag"] == got.headers["etag"]
    assert (await service.call("HEAD", "/nope")).status_code == 404


async def test_the_access_line_tells_who_what_and_how_long_and_no_query(service: Service) -> None:
    await service.call("GET", "/v1/projects?q=private", by=BEN)

    (line,) = access_lines(service)

    assert (line["method"], line["path"], line["status"], line["actorId"]) == (
        "GET",
        "/v1/projects",
        200,
        BEN,
    )
    assert line["durationMs"] >= 0
    assert line["time"].endswith("Z")
    assert "private" not in json.dumps(line)


async def test_requests_are_counted_by_route_and_not_by_address() -> None:
    service = Service()
    for number in range(3):
        await service.call("GET", f"/v1/tasks/{number:024x}")
        await service.call("GET", f"/nope/{number}")

    text = (await service.call("GET", "/metrics")).text

    assert 'tandem_http_requests_total{route="/v1/tasks/{id}",method="GET",status="404"} 3' in text
    assert 'tandem_http_requests_total{route="unmatched",method="GET",status="404"} 3' in text
    assert "/nope" not in text
    name = "tandem_http_request_duration_seconds"
    assert f'{name}_count{{route="/v1/tasks/{{id}}",method="GET",status="404"}} 3' in text


async def test_callers_who_ask_too_fast_are_told_when_to_come_back() -> None:
    service = Service(RATE_LIMIT="2/hour")

    answers = [await service.call("GET", "/v1/projects") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-limit"] == "2"
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].json()["code"] == "rate_limited"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 1_800
    assert (await service.call("GET", "/v1/projects", by=BEN)).status_code == 200
    assert (await service.call("GET", "/v1/health")).status_code == 200
    assert (await service.call("GET", "/livez")).status_code == 200
    # Tokens that nobody believes do not buy a fresh allowance.
    guesses = [
        (await service.client.get("/v1/projects", headers={"Authorization": f"Bearer {guess}"})).status_code
        for guess in range(3)
    ]
    assert guesses == [401, 401, 429]


def test_a_bucket_fills_again_with_time() -> None:
    limiter = RateLimiter(2, 10)
    assert [limiter.take("a", 0).retry_after_seconds for _ in range(3)] == [0, 0, 5]
    assert limiter.take("a", 4).retry_after_seconds == 1
    assert limiter.take("a", 5.1).retry_after_seconds == 0
    assert limiter.take("a", 1_000).remaining == 1


def test_the_number_of_buckets_is_bounded() -> None:
    limiter = RateLimiter(1, 1_000)
    for number in range(BUCKETS_MAX + 1):
        limiter.take(str(number), 0)

    assert limiter.take("0", 0).retry_after_seconds == 0
    assert limiter.take(str(BUCKETS_MAX), 0).retry_after_seconds > 0


async def asked(app: Any, service: Service, *, allowed_seconds: float = 5.0) -> list[dict[str, Any]]:
    """The messages that a layer around this application sends."""
    layer = RequestLayer(
        app,
        counters=service.parts.request_metrics,
        access_lines=service.parts.access_log,
        authentication=Authentication(service.parts.tokens, service.build(Callers)),
        limits=Limits(deadlines=Deadlines(allowed_seconds, look_seconds=0.01)),
        cross_origin=CrossOrigin(()),
    )
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: Any = {"type": "http", "method": "GET", "path": "/slow", "headers": [], "query_string": b""}
    await layer(scope, receive, send)
    return sent


async def test_a_request_that_takes_too_long_is_given_up_with_an_answer(service: Service) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    start, body = await asked(never, service, allowed_seconds=0.01)

    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert json.loads(body["body"])["code"] == "deadline_passed"
    assert access_lines(service)[0]["status"] == 503


async def test_a_cancellation_from_outside_is_passed_on(service: Service) -> None:
    entered = asyncio.Event()

    async def never(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    asking = asyncio.create_task(asked(never, service))
    await asyncio.wait_for(entered.wait(), 5)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert access_lines(service)[0]["status"] == 499


async def test_whatever_escapes_the_application_is_still_answered(service: Service) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("secret")

    start, body = await asked(broken, service)

    assert start["status"] == 500
    assert b"secret" not in body["body"]


async def test_an_answer_that_has_begun_is_not_begun_again(service: Service) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half way")

    sent = await asked(broken, service)

    assert [message["type"] for message in sent] == ["http.response.start"]


async def test_of_sixty_writers_of_one_version_one_wins_and_the_others_hear_of_it(service: Service) -> None:
    made = await service.made("/v1/tasks", {"title": "Dig"})
    path = f"/v1/tasks/{made['id']}"

    writes = [service.call("PATCH", path, {"title": f"Dig {number}"}, If_Match='"1"') for number in range(60)]
    statuses = sorted([answer.status_code for answer in await asyncio.gather(*writes)])

    assert statuses == [200] + [412] * 59
    assert (await service.call("GET", path)).json()["version"] == 2
