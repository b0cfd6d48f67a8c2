"""Headers hold whatever a client writes; none of them may cause an internal error."""

import base64

import pytest

from tests.unit.entrypoints.http.service import Service

NAMES = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Access-Control-Request-Headers",
    "Access-Control-Request-Method",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Cookie",
    "Date",
    "Expect",
    "Forwarded",
    "Host",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Origin",
    "Prefer",
    "Range",
    "Referer",
    "Sec-Fetch-Site",
    "Tandem-Read-After",
    "Traceparent",
    "X-CSRF-Token",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Request-ID",
]
NESTED = base64.urlsafe_b64encode(b"[" * 3_000).rstrip(b"=")
VALUES = {
    "no address": b"http://[",
    "a bracket in words": b"http://[x]",
    "a host beyond ASCII": b"http://elsewhere.example\xbd",
    "a far port": b"http://tandem.test:99999999999",
    "a port of letters": b"http://tandem.test:port",
    "bytes beyond ASCII": b"\xff\xfe\x80",
    "superscripts": b"\xb2\xb9",
    "digits without end": b"9" * 5_000,
    "quotes": b'"\'"',
    "separators": b",;,=;:[]%",
    "a share of infinity": b"gzip;q=inf, gzip;q=1e999",
    "an escape that ends": b"%e2%82%",
    "a token of nested lists": b"Bearer " + NESTED + b".e30.c2ln",
    "a cookie of nested lists": b"tandem-access=" + NESTED + b".e30.c2ln",
    "a token beyond ASCII": b"Bearer \xe9.\xe9.\xe9",
    "an encoding that nobody knows": b"application/json; charset=\xe9",
    "nothing": b"",
}
REQUESTS = (
    ("GET", "/v1/tasks", None),
    ("OPTIONS", "/v1/tasks", None),
    ("POST", "/v1/tasks", b'{"title": "Dig"}'),
    ("POST", "/v1/auth/refresh", b""),
    ("POST", "/v1/auth/logout", b""),
    ("POST", "/v1/auth/dev/session", b'{"email": "anna@example.org"}'),
    ("GET", "/", None),
)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_no_value_of_a_header_is_an_internal_error(service: Service, value: bytes) -> None:
    found = []
    for name in NAMES:
        for method, path, body in REQUESTS:
            headers = {b"content-type": b"application/json", name.lower().encode(): value}
            answer = await service.client.request(method, path, content=body, headers=list(headers.items()))
            if answer.status_code >= 500:
                found.append((name, method, path, answer.status_code))
    assert found == []


@pytest.mark.parametrize("path", ["/v1/auth/refresh", "/v1/auth/logout", "/v1/auth/dev/session"])
@pytest.mark.parametrize("origin", [b"http://[", b"http://[x]", b"http://test\xbd", b"\xff"])
async def test_an_origin_that_is_no_address_is_a_foreign_one(
    service: Service, *, path: str, origin: bytes
) -> None:
    headers = [(b"content-type", b"application/json"), (b"origin", origin), (b"cookie", b"tandem-refresh=x")]
    body = b'{"email": "anna@example.org"}' if path.endswith("session") else b""
    refused = await service.client.post(path, content=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "cross_site_refused")
    assert (await service.stored()).get("sessions", []) == []
