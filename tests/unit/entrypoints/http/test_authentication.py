import pytest

from application.ports.tokens import Identity
from tests.unit.entrypoints.http.service import ANNA, Service

PUBLIC = [
    "/",
    "/docs",
    "/schema/openapi.json",
    "/v1/health",
    "/livez",
    "/readyz",
    "/startupz",
    "/metrics",
    "/problems",
]


@pytest.mark.parametrize(
    "credentials", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z", "Bearer " + "x" * 9_000]
)
async def test_whoever_is_not_believed_is_asked_to_sign_in(service: Service, credentials: str | None) -> None:
    headers = {} if credentials is None else {"Authorization": credentials}

    for method, path in (("GET", "/v1/projects"), ("POST", "/v1/tasks"), ("GET", "/v1/sync/metrics")):
        refused = await service.client.request(method, path, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", PUBLIC)
async def test_public_addresses_ask_nobody_to_sign_in(service: Service, path: str) -> None:
    assert (await service.client.get(path)).status_code == 200


async def test_a_token_is_no_longer_believed_once_it_has_expired(service: Service) -> None:
    headers = service.headers()
    assert (await service.client.get("/v1/projects", headers=headers)).status_code == 200

    service.clock.pass_time(16 * 60)

    assert (await service.client.get("/v1/projects", headers=headers)).status_code == 401


async def test_the_scheme_may_be_written_in_any_case(service: Service) -> None:
    token = service.parts.tokens.issue(Identity(ANNA, frozenset())).access_token

    answer = await service.client.get("/v1/projects", headers={"Authorization": f"bearer {token}"})

    assert answer.status_code == 200


async def test_a_service_cannot_be_injected_by_a_parameter(service: Service) -> None:
    answer = await service.call("GET", "/v1/projects?list_projects=x&actor=y")

    assert answer.status_code == 400
