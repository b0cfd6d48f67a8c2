import pytest

from application.ports.tokens import Identity
from entrypoints.http.security.csrf import CrossSiteGuard
from tests.unit.entrypoints.http.service import ANNA, BEN, Service

SESSION = "5" * 24

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


async def test_a_cookie_signs_what_only_reads(service: Service) -> None:
    access = service.parts.tokens.issue(Identity(ANNA, frozenset(), SESSION)).access_token

    answer = await service.client.get("/v1/projects", headers={"Cookie": f"other=1; tandem-access={access}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("cookie", ["tandem-access=x.y.z", "tandem-access=", "tandem-refresh=x", "other=1"])
async def test_a_cookie_that_opens_nothing_is_nobody(service: Service, cookie: str) -> None:
    answer = await service.client.get("/v1/projects", headers={"Cookie": cookie})

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_header_wins_over_cookies_whatever_it_holds(service: Service) -> None:
    made = await service.made("/v1/projects", {"name": "Anna's"})
    access = service.parts.tokens.issue(Identity(ANNA, frozenset(), SESSION)).access_token
    cookie = {"Cookie": f"tandem-access={access}"}
    path = f"/v1/projects/{made['id']}"

    as_ben = await service.client.get(path, headers={**cookie, **service.headers(BEN)})
    as_nobody = await service.client.get(path, headers={**cookie, "Authorization": "Bearer nonsense"})
    as_anna = await service.client.get(path, headers=cookie)

    assert [as_ben.status_code, as_nobody.status_code, as_anna.status_code] == [404, 401, 200]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_what_a_cookie_signs_and_changes_something_must_come_from_our_own_page(
    service: Service, method: str
) -> None:
    access = service.parts.tokens.issue(Identity(ANNA, frozenset({"admin"}), SESSION)).access_token
    own = CrossSiteGuard(service.parts.tokens.derived_secret("csrf")).token(SESSION)
    path = {"POST": "/v1/labels", "PUT": f"/v1/projects/{ANNA}/timeline"}.get(method, f"/v1/labels/{ANNA}")
    before = await service.stored()

    async def ask(**headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        cookie = {"Cookie": f"tandem-access={access}"}
        answer = await service.client.request(method, path, json={"nope": 1}, headers={**cookie, **named})
        return answer.status_code, answer.json()["code"]

    refused = (403, "cross_site_refused")
    assert await ask() == refused
    assert await ask(X_CSRF_Token="guess") == refused
    assert await ask(X_CSRF_Token=own, Origin="https://elsewhere.example") == refused
    assert await ask(X_CSRF_Token=own, Sec_Fetch_Site="cross-site") == refused
    assert (await ask(X_CSRF_Token=own, Origin="http://tandem.test"))[0] in (400, 404)
    assert (await ask(Authorization=f"Bearer {access}", Origin="https://elsewhere.example"))[0] in (400, 404)
    assert await service.stored() == before


async def test_a_token_without_a_session_changes_nothing_as_a_cookie(service: Service) -> None:
    access = service.parts.tokens.issue(Identity(ANNA, frozenset())).access_token
    headers = {"Cookie": f"tandem-access={access}", "Sec-Fetch-Site": "same-origin"}

    refused = await service.client.post("/v1/labels", json={"name": "x"}, headers=headers)

    assert refused.status_code == 403
    assert (await service.stored())["labels"] == []


async def test_production_believes_no_cookie_that_others_could_have_planted() -> None:
    service = Service(APP_ENV="production")
    access = service.parts.tokens.issue(Identity(ANNA, frozenset(), SESSION)).access_token

    plain = await service.client.get("/v1/projects", headers={"Cookie": f"tandem-access={access}"})
    bound = await service.client.get("/v1/projects", headers={"Cookie": f"__Host-tandem-access={access}"})

    assert [plain.status_code, bound.status_code] == [401, 200]
