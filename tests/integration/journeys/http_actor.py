"""One person and a service in a process of its own: everything goes over a real connection."""

from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import httpx

from tests.unit.entrypoints.http.service import Json

ANSWER_SECONDS_MAX = 60.0
PAGES_MAX = 100
CSRF_COOKIE = "tandem-csrf"


class HttpActor:
    """Signs in and asks. A browser keeps cookies, and shows the token that proves the page to be ours."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=ANSWER_SECONDS_MAX, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def id(self) -> str:
        """Who this is."""
        return str(self.view("GET", "/v1/users/me")["id"])

    def moved_to(self, url: str) -> "HttpActor":
        """The same person, still signed in, at another address."""
        moved = HttpActor(url)
        moved._client.headers = self._client.headers
        for cookie in self._client.cookies.jar:
            moved._client.cookies.set(cookie.name, cookie.value or "")
        return moved

    def sign_in(self, email: str) -> None:
        """Without proof, as development and tests allow; with a bearer token from then on."""
        tokens = self.view("POST", "/v1/auth/dev/token", {"email": email})
        self._client.headers["authorization"] = f"Bearer {tokens['accessToken']}"

    def sign_in_with_google(self) -> str:
        """As a browser does it, with cookies from then on; where it is sent in the end."""
        login = self.call("GET", "/v1/auth/google/login", expect=302)
        granted = httpx.get(login.headers["location"], timeout=ANSWER_SECONDS_MAX, trust_env=False)
        assert granted.status_code == 302, granted.text
        way_back = urlsplit(granted.headers["location"])
        done = self.call("GET", f"{way_back.path}?{way_back.query}", expect=302)
        self._client.headers["x-csrf-token"] = self._client.cookies[CSRF_COOKIE]
        return str(done.headers["location"])

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        expect: int | None = None,
        tag: str | None = None,
    ) -> httpx.Response:
        """One request; `expect` demands a status, `tag` is what If-Match says."""
        headers = {} if tag is None else {"if-match": tag}
        answer = self._client.request(method, path, json=body, headers=headers)
        assert expect in (None, answer.status_code), f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def view(self, method: str, path: str, body: object = None, *, tag: str | None = None) -> Json:
        """The document that a request which must succeed is answered with; `tag` insists on a version."""
        answer = self.call(method, path, body, tag=tag)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        document: Json = answer.json()
        return document

    def items(self, path: str, **query: Any) -> list[Json]:
        """The items of every page of a list."""
        found: list[Json] = []
        for _ in range(PAGES_MAX):
            page = self.view("GET", f"{path}?{urlencode(query)}")
            found += page["items"]
            if page["nextCursor"] is None:
                return found
            query["cursor"] = page["nextCursor"]
        raise AssertionError(f"{path} does not end")
