import asyncio
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from adapters.auth.jwt_tokens import ACCESS_SECONDS
from domain.session import GRACE
from entrypoints.http.security.csrf import CrossSiteGuard
from tests.unit.entrypoints.http.service import Json, Service, pointers

OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
FOREIGN_PAGE = {"Origin": "https://elsewhere.example"}


async def signed_in(service: Service, email: str = "anna@example.org") -> Json:
    answer = await service.client.post("/v1/auth/dev/token", json={"email": email})
    assert answer.status_code == 200, answer.text
    view: Json = answer.json()
    return view


async def refreshed(service: Service, refresh_token: str) -> httpx.Response:
    return await service.client.post("/v1/auth/refresh", json={"refreshToken": refresh_token})


async def ask_as(service: Service, access_token: str) -> int:
    headers = {"Authorization": f"Bearer {access_token}"}
    return (await service.client.get("/v1/users/me", headers=headers)).status_code


def jar(view: Json) -> dict[str, str]:
    """The header that a browser sends after a sign-in with cookies."""
    return {"Cookie": f"tandem-access={view['accessToken']}; tandem-refresh={view['refreshToken']}"}


def set_cookies(answer: httpx.Response) -> dict[str, Any]:
    found: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        found.load(header)
    return dict(found)


async def test_a_refresh_gives_new_tokens_in_the_body_where_the_old_one_came_in_it(service: Service) -> None:
    first = await signed_in(service)
    service.clock.pass_time(ACCESS_SECONDS)
    assert await ask_as(service, first["accessToken"]) == 401

    answer = await refreshed(service, first["refreshToken"])

    renewed = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert set_cookies(answer) == {}
    assert (renewed["tokenType"], renewed["expiresInSeconds"]) == ("Bearer", 900)
    assert renewed["user"]["email"] == "anna@example.org"
    assert await ask_as(service, renewed["accessToken"]) == 200
    assert (await refreshed(service, renewed["refreshToken"])).status_code == 200


async def test_an_older_token_ends_the_session_and_its_access_tokens_here(service: Service) -> None:
    first = await signed_in(service)
    other = await signed_in(service)
    second = (await refreshed(service, first["refreshToken"])).json()
    service.clock.pass_time(GRACE.total_seconds())

    reused = await refreshed(service, first["refreshToken"])

    assert (reused.status_code, reused.json()["code"]) == (401, "unauthenticated")
    assert (await refreshed(service, second["refreshToken"])).status_code == 401
    assert [await ask_as(service, view["accessToken"]) for view in (first, second, other)] == [401, 401, 200]
    assert (await refreshed(service, other["refreshToken"])).status_code == 200


async def test_of_two_tabs_that_refresh_at_once_both_go_on(service: Service) -> None:
    first = await signed_in(service)

    answers = await asyncio.gather(*(refreshed(service, first["refreshToken"]) for _ in range(2)))
    service.clock.pass_time(ACCESS_SECONDS)
    later = [await refreshed(service, answer.json()["refreshToken"]) for answer in answers]

    assert [answer.status_code for answer in (*answers, *later)] == [200] * 4
    assert len({answer.json()["refreshToken"] for answer in (*answers, *later)}) == 4


async def test_a_browser_signs_in_with_an_address_in_development_only(service: Service) -> None:
    answer = await service.client.post("/v1/auth/dev/session", json={"email": "anna@example.org"})
    cookies = set_cookies(answer)
    asked = await service.client.get(
        "/v1/users/me", headers={"Cookie": f"tandem-access={cookies['tandem-access'].value}"}
    )
    foreign = await service.client.post(
        "/v1/auth/dev/session", json={"email": "eve@example.org"}, headers=FOREIGN_PAGE
    )

    assert (answer.status_code, answer.content) == (204, b"")
    assert cookies.keys() == {"tandem-access", "tandem-refresh", "tandem-csrf"}
    assert asked.json()["email"] == "anna@example.org"
    assert (foreign.status_code, set_cookies(foreign)) == (403, {})


async def test_the_methods_are_those_of_the_installation(service: Service) -> None:
    production = Service(APP_ENV="production")
    assert (await service.client.get("/v1/auth/methods")).json() == {
        "google": False,
        "dev": True,
        "token": True,
    }
    answer = await production.client.get("/v1/auth/methods")
    assert answer.json() == {"google": False, "dev": False, "token": True}
    refused = await production.client.post("/v1/auth/dev/session", json={"email": "a@example.org"})
    assert refused.status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"refreshToken": ""},
        {"refreshToken": "x"},
        {"refreshToken": "5" * 24 + "." + "A" * 64},
        {"refreshToken": "\u00e9" * 89},
        {},
    ],
    ids=str,
)
async def test_whatever_is_no_refresh_token_changes_nothing(service: Service, body: Json) -> None:
    await signed_in(service)
    before = await service.stored()

    for path in ("/v1/auth/refresh", "/v1/auth/logout"):
        refused = await service.client.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")

    assert await service.stored() == before


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"refreshToken": 5}, "/refreshToken"),
        ({"refreshToken": "x" * 201}, "/refreshToken"),
        ({"token": "x"}, "/token"),
        ({"refreshToken": "\x00"}, "/refreshToken"),
    ],
    ids=str,
)
async def test_a_malformed_body_is_told_where(service: Service, body: Json, pointer: str) -> None:
    for path in ("/v1/auth/refresh", "/v1/auth/logout"):
        refused = await service.client.post(path, json=body)
        assert (refused.status_code, pointers(refused)) == (400, [pointer])


async def test_an_access_token_refreshes_nothing(service: Service) -> None:
    first = await signed_in(service)

    in_body = await refreshed(service, first["accessToken"][:200])
    as_bearer = await service.client.post(
        "/v1/auth/refresh", headers={"Authorization": f"Bearer {first['accessToken']}"}
    )

    assert [in_body.status_code, as_bearer.status_code] == [401, 401]


async def test_a_browser_refreshes_by_cookie_and_no_script_sees_its_tokens(service: Service) -> None:
    first = await signed_in(service)

    answer = await service.client.post("/v1/auth/refresh", headers={**jar(first), **OWN_PAGE})

    cookies = set_cookies(answer)
    assert answer.status_code == 200
    assert answer.json().keys() == {"tokenType", "expiresInSeconds", "user"}
    assert cookies.keys() == {"tandem-access", "tandem-refresh", "tandem-csrf"}
    assert cookies["tandem-access"]["httponly"]
    assert cookies["tandem-refresh"]["httponly"]
    assert await ask_as(service, cookies["tandem-access"].value) == 200
    service.clock.pass_time(GRACE.total_seconds())
    assert (await refreshed(service, first["refreshToken"])).status_code == 401


async def test_whoever_names_only_a_long_address_is_called_by_its_beginning(service: Service) -> None:
    view = await signed_in(service, f"{'a' * 230}@example.org")

    assert (view["user"]["email"], view["user"]["name"]) == (f"{'a' * 230}@example.org", "a" * 200)


async def test_the_csrf_token_of_a_refresh_is_good_for_what_follows(service: Service) -> None:
    first = await signed_in(service)
    cookies = set_cookies(await service.client.post("/v1/auth/refresh", headers={**jar(first), **OWN_PAGE}))
    headers = {"Cookie": f"tandem-access={cookies['tandem-access'].value}"}
    csrf = {"X-CSRF-Token": cookies["tandem-csrf"].value}

    made = await service.client.post("/v1/labels", json={"name": "x"}, headers={**headers, **csrf})
    refused = await service.client.post("/v1/labels", json={"name": "y"}, headers=headers)

    assert [made.status_code, refused.status_code] == [201, 403]


@pytest.mark.parametrize("path", ["/v1/auth/refresh", "/v1/auth/logout"])
async def test_a_foreign_page_neither_refreshes_nor_ends_a_session(service: Service, path: str) -> None:
    first = await signed_in(service)
    before = await service.store.scan("sessions", after=None, limit=10)

    for headers in ({}, FOREIGN_PAGE, {"X-CSRF-Token": "guess"}):
        refused = await service.client.post(path, headers={**jar(first), **headers})
        assert (refused.status_code, refused.json()["code"]) == (403, "cross_site_refused")

    assert await service.store.scan("sessions", after=None, limit=10) == before


async def test_the_sessions_own_csrf_token_refreshes_where_the_browser_names_no_page(
    service: Service,
) -> None:
    first = await signed_in(service)
    session_id = first["refreshToken"].partition(".")[0]
    csrf = CrossSiteGuard(service.parts.tokens.derived_secret("csrf")).token(session_id)

    answer = await service.client.post("/v1/auth/refresh", headers={**jar(first), "X-CSRF-Token": csrf})

    assert answer.status_code == 200


async def test_a_token_in_the_body_needs_no_page_and_wins_over_cookies(service: Service) -> None:
    mine, other = await signed_in(service), await signed_in(service, "ben@example.org")

    answer = await service.client.post(
        "/v1/auth/refresh",
        json={"refreshToken": other["refreshToken"]},
        headers={**jar(mine), **FOREIGN_PAGE},
    )

    assert answer.json()["user"]["email"] == "ben@example.org"
    assert set_cookies(answer) == {}
    assert (await refreshed(service, mine["refreshToken"])).status_code == 200


@pytest.mark.parametrize("way", ["bearer", "expired bearer", "body", "cookies", "refresh cookie alone"])
async def test_signing_out_ends_the_session_whatever_proves_it(service: Service, way: str) -> None:
    view = await signed_in(service)
    bearer = {"Authorization": f"Bearer {view['accessToken']}"}
    if way == "expired bearer":
        service.clock.pass_time(ACCESS_SECONDS)
    asked: dict[str, Any] = {
        "bearer": {"headers": bearer},
        "expired bearer": {"headers": bearer},
        "body": {"json": {"refreshToken": view["refreshToken"]}},
        "cookies": {"headers": {**jar(view), **OWN_PAGE}},
        "refresh cookie alone": {"headers": {"Cookie": f"tandem-refresh={view['refreshToken']}", **OWN_PAGE}},
    }[way]

    answers = [await service.client.post("/v1/auth/logout", **asked) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
    assert {cookie["max-age"] for cookie in set_cookies(answers[0]).values()} == {"0"}
    assert set_cookies(answers[0]).keys() == {"tandem-access", "tandem-refresh", "tandem-csrf"}
    assert (await refreshed(service, view["refreshToken"])).status_code == 401
    assert await ask_as(service, view["accessToken"]) == 401
    (session,) = await service.store.scan("sessions", after=None, limit=10)
    assert (session["version"], session["endedBecause"]) == (2, "signed out")


async def test_nobody_cannot_sign_out(service: Service) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic x"},
        {"Cookie": "a=b"},
    ):
        assert (await service.client.post("/v1/auth/logout", headers=headers)).status_code == 401


async def test_cookies_that_open_nothing_are_taken_away(service: Service) -> None:
    for cookie in ("tandem-access=x.y.z", "tandem-refresh=x"):
        answer = await service.client.post("/v1/auth/logout", headers={"Cookie": cookie, **OWN_PAGE})
        assert answer.status_code == 204
        assert {found["max-age"] for found in set_cookies(answer).values()} == {"0"}


async def test_a_session_is_over_after_seven_days_however_often_it_was_refreshed(service: Service) -> None:
    view = await signed_in(service)
    for _ in range(6):
        service.clock.pass_time(24 * 3_600)
        answer = await refreshed(service, view["refreshToken"])
        assert answer.status_code == 200
        view = answer.json()
    service.clock.pass_time(24 * 3_600)

    assert (await refreshed(service, view["refreshToken"])).status_code == 401


async def test_signing_in_never_takes_up_a_session_that_was_brought(service: Service) -> None:
    planted = await signed_in(service, "eve@example.org")

    answer = await service.client.post(
        "/v1/auth/dev/token", json={"email": "anna@example.org"}, headers=jar(planted)
    )

    assert answer.json()["refreshToken"].partition(".")[0] != planted["refreshToken"].partition(".")[0]


async def test_no_entry_and_no_log_line_shows_a_secret(service: Service) -> None:
    view = await signed_in(service)
    await refreshed(service, view["refreshToken"])
    admin = {"Authorization": f"Bearer {view['accessToken']}"}

    trail = await service.client.get("/v1/audit?collection=sessions", headers=admin)

    assert [entry["action"] for entry in trail.json()["items"]] == ["UPDATED", "CREATED"]
    service.parts.access_log.flush()
    for text in (trail.text, service.parts.lines.getvalue().decode()):
        assert "tokenHash" not in text
        assert view["refreshToken"].partition(".")[2] not in text
        assert view["accessToken"] not in text


async def test_google_is_told_to_be_set_up_where_it_is_not(service: Service) -> None:
    for path in ("/v1/auth/google/login", "/v1/auth/google/callback?code=x&state=y"):
        answer = await service.client.get(path)
        assert answer.status_code == 404
        assert "GOOGLE_OAUTH_CLIENT_ID" in answer.json()["detail"]
