from http.cookies import SimpleCookie
from typing import Any

import pytest

from application.ports.tokens import TokenPair
from entrypoints.http.security.cookies import ACCESS, CSRF, HEADER_LENGTH_MAX, REFRESH, TICKET, SessionCookies

PAIR = TokenPair(
    access_token="a.b.c",
    expires_in_seconds=900,
    refresh_token="r.s",
    refresh_expires_in_seconds=604_800,
    session_id="5" * 24,
)


def scope(cookie: str = "", *, scheme: str = "http") -> dict[str, Any]:
    headers = [(b"host", b"tandem.test"), (b"cookie", cookie.encode("latin-1"))]
    return {"type": "http", "scheme": scheme, "headers": headers}


def set_cookies(headers: Any) -> dict[str, Any]:
    """The cookies that headers set, as a browser reads them."""
    found: SimpleCookie = SimpleCookie()
    for name, value in headers:
        assert name == b"set-cookie"
        found.load(value.decode())
    return dict(found)


@pytest.mark.parametrize(("scheme", "always_secure"), [("https", False), ("http", True)])
def test_over_https_cookies_are_bound_to_this_host(scheme: str, always_secure: bool) -> None:
    cookies = SessionCookies(always_secure=always_secure)

    found = set_cookies(cookies.signed_in(scope(scheme=scheme), PAIR, csrf_token="t"))

    assert found.keys() == {"__Host-tandem-access", "__Host-tandem-refresh", "__Host-tandem-csrf"}
    for name, cookie in found.items():
        assert (cookie["path"], cookie["secure"], cookie["samesite"]) == ("/", True, "Lax")
        assert cookie["domain"] == ""
        assert bool(cookie["httponly"]) == (name != "__Host-tandem-csrf")
    assert found["__Host-tandem-access"]["max-age"] == "900"
    assert found["__Host-tandem-refresh"]["max-age"] == "604800"
    assert found["__Host-tandem-refresh"].value == "r.s"


def test_over_plain_http_they_have_plain_names() -> None:
    found = set_cookies(SessionCookies(always_secure=False).signed_in(scope(), PAIR, csrf_token="t"))

    assert found.keys() == {ACCESS, REFRESH, CSRF}
    assert not any(cookie["secure"] for cookie in found.values())


def test_where_names_are_bound_to_the_host_plain_ones_are_not_believed() -> None:
    planted = f"{ACCESS}=planted; __Host-{REFRESH}=own"

    secure = SessionCookies(always_secure=True)

    assert secure.read(scope(planted), ACCESS) is None
    assert secure.read(scope(planted), REFRESH) == "own"
    assert SessionCookies(always_secure=False).read(scope(planted), REFRESH) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"{ACCESS}=x", "x"),
        (f"other=1;{ACCESS}=x=y;last", "x=y"),
        (f"x{ACCESS}=1; {ACCESS}x=2", None),
        (f"{ACCESS}=", None),
        (f"other={ACCESS}", None),
        ("", None),
        (f"{ACCESS}=x; big=" + "y" * HEADER_LENGTH_MAX, None),
        (f"{ACCESS}=é", "é"),
    ],
)
def test_a_cookie_is_found_by_its_whole_name(text: str, value: str | None) -> None:
    assert SessionCookies(always_secure=False).read(scope(text), ACCESS) == value


def test_a_request_without_cookies_has_none() -> None:
    assert SessionCookies(always_secure=False).read({"headers": [], "scheme": "http"}, ACCESS) is None


def test_signing_out_takes_all_of_them_away() -> None:
    found = set_cookies(SessionCookies(always_secure=True).signed_out(scope()))

    assert {name: (cookie.value, cookie["max-age"]) for name, cookie in found.items()} == {
        f"__Host-{name}": ("", "0") for name in (ACCESS, REFRESH, CSRF)
    }


def test_the_ticket_is_out_of_reach_of_scripts_and_short_lived() -> None:
    found = set_cookies(SessionCookies(always_secure=True).ticket(scope(), "state", 600))

    (cookie,) = found.values()
    assert (cookie.key, cookie["max-age"], cookie["samesite"]) == (f"__Host-{TICKET}", "600", "Lax")
    assert cookie["httponly"]
    assert cookie["secure"]
