"""What browsers let pages of other origins do and read."""

import httpx
import pytest

from tests.unit.entrypoints.http.service import Service

BOARD = "https://board.example.org"
UI = "https://app.example.org"
FOREIGN = [
    "https://evil.example.org",
    "http://board.example.org",
    f"{BOARD}:8443",
    f"{BOARD}.evil.org",
    "null",
    "*",
    "",
]


def _service(*, rate_limit: str = "off") -> Service:
    return Service(
        CORS_ORIGINS=f"{BOARD}, https://plan.example.org:8443", UI_URL=f"{UI}/start", RATE_LIMIT=rate_limit
    )


async def _preflight(service: Service, path: str, **headers: str) -> httpx.Response:
    asked = {"Access-Control-Request-Method": "POST", "Origin": BOARD}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client_at("192.0.2.1").request("OPTIONS", path, headers={**asked, **named})


@pytest.mark.parametrize("origin", [BOARD, UI, "https://plan.example.org:8443"])
async def test_a_page_of_an_allowed_origin_reads_answers_and_their_headers(origin: str) -> None:
    service = _service()

    answer = await service.call("POST", "/v1/tasks", {"title": "One"}, Origin=origin)

    assert answer.status_code == 201
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-credentials"] == "true"
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"etag", "location", "x-request-id"} <= set(exposed)
    assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_page_of_another_origin_reads_nothing(origin: str) -> None:
    service = _service()

    answer = await service.call("GET", "/v1/tasks", Origin=origin)
    asked = await _preflight(service, "/v1/tasks", Origin=origin)

    for each in (answer, asked):
        assert not [name for name in each.headers if name.startswith("access-control-")]
        assert each.headers["vary"].lower() == "origin"


async def test_answers_to_everyone_name_the_header_that_they_depend_on() -> None:
    answer = await _service().call("GET", "/v1/tasks")
    assert answer.headers["vary"].lower() == "origin"


async def test_without_allowed_origins_no_answer_depends_on_them() -> None:
    answer = await Service().call("GET", "/v1/tasks", Origin=BOARD)
    assert "vary" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_names_the_methods_of_the_address_and_the_headers_it_was_asked_for() -> None:
    service = _service(rate_limit="1/hour")

    answers = [
        await _preflight(service, "/v1/tasks", Access_Control_Request_Headers="authorization, if-match")
        for _ in range(3)
    ]

    answer = answers[-1]
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == BOARD
    assert {"GET", "POST"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    assert answer.headers["access-control-allow-headers"] == "authorization, if-match"
    assert answer.headers["access-control-max-age"] == "600"


async def test_a_rejection_can_be_read_as_well() -> None:
    service = _service(rate_limit="1/hour")
    answer = [await service.call("GET", "/v1/tasks", Origin=BOARD) for _ in range(2)][-1]

    assert answer.status_code == 429
    assert answer.headers["access-control-allow-origin"] == BOARD
    assert "retry-after" in answer.headers["access-control-expose-headers"]
