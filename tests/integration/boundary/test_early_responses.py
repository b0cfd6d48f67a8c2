"""Responses that come before the request has been read, and requests whose client has gone."""

import socket
import struct
from urllib.parse import urlsplit

import pytest

from tests.integration.boundary.conftest import Attacked
from tests.integration.boundary.raw_client import RawClient, RawResponse, request

TRIES = 20
MIB = 1024 * 1024
BODY = b'{"title": "' + b"a" * 3 * MIB + b'"}'
JSON_TYPE = "Content-Type: application/json"
CLOSE = "Connection: close"


def chunked(body: bytes) -> bytes:
    """The body in chunks of 64 KiB."""
    parts = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


EARLY: dict[str, tuple[str, tuple[str, ...], int]] = {
    "too large": ("/v1/tasks", ("{authorization}", JSON_TYPE), 413),
    "too large, last request": ("/v1/tasks", ("{authorization}", JSON_TYPE, CLOSE), 413),
    "not signed in": ("/v1/tasks", (JSON_TYPE,), 401),
    "not signed in, last request": ("/v1/tasks", (JSON_TYPE, CLOSE), 401),
    "of another type": ("/v1/tasks", ("{authorization}", "Content-Type: text/plain", CLOSE), 415),
    "compressed": ("/v1/tasks", ("{authorization}", JSON_TYPE, "Content-Encoding: br", CLOSE), 415),
    "to nowhere": ("/nowhere", (JSON_TYPE, CLOSE), 404),
    "with too many headers": ("/v1/tasks", (JSON_TYPE, *["X: a"] * 300), 431),
    "an import without a token": (
        "/v1/imports?format=beads",
        ("Content-Type: application/x-ndjson", CLOSE),
        401,
    ),
    "a sign-in": ("/v1/auth/dev/token", (JSON_TYPE, CLOSE), 413),
}


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "in chunks"])
@pytest.mark.parametrize(("path", "lines", "status"), EARLY.values(), ids=EARLY)
def test_a_response_before_the_end_of_the_body_arrives(
    attacked: Attacked, path: str, lines: tuple[str, ...], status: int, *, is_chunked: bool
) -> None:
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(BODY)}"
    named = [line.replace("{authorization}", attacked.authorization) for line in lines]
    data = request("POST", path, *named, framing, body=chunked(BODY) if is_chunked else BODY)
    statuses = []
    for _ in range(TRIES):
        with RawClient(attacked.url) as client:
            assert client.send(data), "the server closed the connection while the body was sent"
            response = client.response()
            statuses.append(response.status)
            if response.headers.get("connection") == "close":
                assert client.is_closed()
                continue
            client.send(request("GET", "/livez"))
            assert client.response().status == 200
    assert statuses == [status] * TRIES


def test_a_body_beyond_what_is_thrown_away_ends_the_connection(attacked: Attacked) -> None:
    length = f"Content-Length: {1024 * MIB}"
    with RawClient(attacked.url) as client:
        client.send(request("POST", "/v1/tasks", JSON_TYPE, length))
        assert client.response().status == 401
        assert not client.send_all(b"a" * MIB for _ in range(200))


def continued(attacked: Attacked, *lines: str, length: int = 14) -> tuple[RawResponse, RawClient]:
    client = RawClient(attacked.url)
    expectation = ("Expect: 100-continue", f"Content-Length: {length}")
    client.send(request("POST", "/v1/tasks", *lines, *expectation))
    return client.response(), client


def test_a_client_that_asks_first_is_told_to_send_its_body(attacked: Attacked) -> None:
    response, client = continued(attacked, attacked.authorization, JSON_TYPE)
    with client:
        assert response.status == 100
        client.send(b'{"title": "a"}')
        assert client.response().status == 201
        client.send(request("GET", "/livez"))
        assert client.response().status == 200


@pytest.mark.parametrize(
    ("lines", "length", "status"),
    [
        (("{authorization}", JSON_TYPE), 3 * MIB, 413),
        ((JSON_TYPE,), 14, 401),
        (("{authorization}", "Content-Type: text/plain"), 14, 415),
    ],
)
def test_a_client_that_asks_first_need_not_send_a_body_in_vain(
    attacked: Attacked, lines: tuple[str, ...], length: int, status: int
) -> None:
    named = [line.replace("{authorization}", attacked.authorization) for line in lines]
    response, client = continued(attacked, *named, length=length)
    with client:
        assert (response.status, response.headers["connection"]) == (status, "close")
        # What follows is not taken for the body, nor for another request.
        client.send(request("GET", "/livez"))
        assert client.is_closed()


def test_an_old_client_gets_no_interim_response(attacked: Attacked) -> None:
    data = request(
        "POST", "/v1/tasks", attacked.authorization, JSON_TYPE, "Expect: 100-continue", "Content-Length: 14"
    )
    with RawClient(attacked.url) as client:
        client.send(data.replace(b"HTTP/1.1", b"HTTP/1.0") + b'{"title": "a"}')
        assert client.response().status == 201


def metric(attacked: Attacked, status: int) -> float:
    """How many POSTs of tasks were counted with a status."""
    with RawClient(attacked.url) as client:
        client.send(request("GET", "/metrics"))
        text = client.response().body.decode()
    label = f'tandem_http_requests_total{{route="/v1/tasks",method="POST",status="{status}"}} '
    return sum(float(line.removeprefix(label)) for line in text.splitlines() if line.startswith(label))


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "sent",
    [b'{"title"', b"", b'{"title": "a"}'],
    ids=["while sending", "before the body", "while waiting"],
)
def test_a_client_that_disconnects_is_counted_as_such(
    attacked: Attacked, sent: bytes, *, is_reset: bool
) -> None:
    before, errors, log = metric(attacked, 499), metric(attacked, 500), attacked.process.log.read_text()
    name = f"gone-{len(sent)}-{is_reset}"
    lines = (attacked.authorization, JSON_TYPE, f"X-Request-ID: {name}", "Content-Length: 14")
    parts = urlsplit(attacked.url)
    client = socket.create_connection((parts.hostname or "", parts.port or 0))
    if is_reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sendall(request("POST", "/v1/tasks", *lines, body=sent))
    client.close()

    (line,) = attacked.lines(name)

    if len(sent) < 14:
        assert (line["status"], metric(attacked, 499) - before) == (499, 1)
    assert line["status"] in (499, 201)
    assert metric(attacked, 500) == errors
    assert attacked.process.log.read_text() == log
