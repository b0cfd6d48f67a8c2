from typing import Any

import pytest

from entrypoints.http.protocol.problems import CrossSiteRejected
from entrypoints.http.security.csrf import CrossSiteGuard

SESSION, OTHER = "5" * 24, "6" * 24
GUARD = CrossSiteGuard(b"k" * 32, addresses=("https://tandem.example:443/app/", "http://127.0.0.1:3000"))


def scope(**headers: str) -> dict[str, Any]:
    given = {"host": "tandem.test:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {"headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()]}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://tandem.test:8000"},
        {"origin": "https://tandem.test:8000"},
        {"origin": "https://tandem.example", "sec_fetch_site": "same-site"},
        {"origin": "http://127.0.0.1:3000", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
    ids=str,
)
def test_our_own_pages_pass_with_the_token_of_their_session(headers: dict[str, str]) -> None:
    GUARD.require_own_page(scope(**headers, x_csrf_token=GUARD.token(SESSION)), SESSION)

    for token in ({}, {"x_csrf_token": ""}, {"x_csrf_token": GUARD.token(OTHER)}, {"x_csrf_token": "é"}):
        with pytest.raises(CrossSiteRejected, match="X-CSRF-Token"):
            GUARD.require_own_page(scope(**headers, **token), SESSION)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://["},
        {"origin": "http://[x]"},
        {"origin": "http://tandem.test:8000]"},
        {"origin": "http://elsewhere.example\xbd"},
        {"origin": "//tandem.test:8000"},
        {"origin": "tandem.test:8000"},
        {"origin": "http://tandem.test:8000/"},
        {"origin": "https://elsewhere.example"},
        {"origin": "https://tandem.example.elsewhere.example"},
        {"origin": "https://tandem.test"},
        {"origin": "http://tandem.test:8000.elsewhere.example"},
        {"origin": "https://elsewhere.example", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
    ids=str,
)
def test_foreign_pages_do_not_pass_whatever_else_they_bring(headers: dict[str, str]) -> None:
    brought = scope(**headers, x_csrf_token=GUARD.token(SESSION))

    for require in (GUARD.require_own_page, GUARD.require_own_browser):
        with pytest.raises(CrossSiteRejected, match="another site"):
            require(brought, SESSION)


def test_refreshing_needs_no_token_where_the_browser_names_our_page() -> None:
    GUARD.require_own_browser(scope(sec_fetch_site="same-origin"), SESSION)
    GUARD.require_own_browser(scope(origin="http://tandem.test:8000"), SESSION)
    GUARD.require_own_browser(scope(x_csrf_token=GUARD.token(SESSION)), SESSION)

    for headers in ({}, {"sec_fetch_site": "none"}, {"x_csrf_token": GUARD.token(OTHER)}):
        with pytest.raises(CrossSiteRejected):
            GUARD.require_own_browser(scope(**headers), SESSION)


def test_a_token_is_the_same_in_every_process_with_the_key_and_another_with_another() -> None:
    assert CrossSiteGuard(b"k" * 32).token(SESSION) == GUARD.token(SESSION)
    assert CrossSiteGuard(b"l" * 32).token(SESSION) != GUARD.token(SESSION)


def test_without_a_session_there_is_no_token() -> None:
    with pytest.raises(CrossSiteRejected):
        GUARD.require_own_page(scope(x_csrf_token=GUARD.token("")), None)
