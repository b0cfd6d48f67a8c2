"""Requests that are too large or too slow get their answer, and the service stays small."""

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.integration.boundary.conftest import Attacked
from tests.integration.boundary.raw_client import RawClient, RawResponse, request, status_of
from tests.servers.report import note_figures

KIB = 1024
MIB = 1024 * KIB
CONNECTIONS = 10_000
GROWTH_BYTES_MAX = 10 * MIB
SECONDS_MAX = 20.0
LIVE = request("GET", "/livez")


def answer_to(attacked: Attacked, data: bytes) -> RawResponse:
    with RawClient(attacked.url) as client:
        client.send(data)
        return client.response()


def head(*, of: int, line: bytes = b"X-Filler: ") -> bytes:
    """A request whose headers have this many bytes."""
    start = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
    count = of - len(start) - len(line) - 4
    return start + line + b"a" * count + b"\r\n\r\n"


TOO_LARGE = {
    "one long header": (head(of=65 * KIB), 431),
    "a header without an end": (head(of=8 * MIB)[:-4], 431),
    "a header name without an end": (b"GET / HTTP/1.1\r\n" + b"a" * 8 * MIB, 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n", 431),
    "headers without an end": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200_000, 431),
    "empty lines without an end": (b"\r\n" * MIB, 431),
    "a long address": (b"GET /" + b"a" * 9 * KIB + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "a long query": (b"GET /v1/projects?q=" + b"a" * 9 * KIB + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "an address without an end": (b"GET /" + b"a" * 60_000_000, 414),
    "no request": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 100, 400),
    "a method without an end": (b"A" * MIB, 400),
    "no address": (b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
}


@pytest.mark.parametrize(("data", "status"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_request_beyond_the_bounds_gets_a_problem_and_ends_its_connection(
    attacked: Attacked, data: bytes, status: int
) -> None:
    with RawClient(attacked.url) as client:
        client.send(data)
        response = client.response()
        assert (response.status, response.headers["connection"]) == (status, "close")
        assert response.headers["content-type"] == "application/problem+json"
        assert response.problem()["requestId"] == response.headers["x-request-id"]
        assert client.is_closed()
    (line,) = attacked.lines(response.headers["x-request-id"])
    assert (line["status"], line["clientAddress"]) == (status, "127.0.0.1")
    assert len(line["path"]) <= 256


@pytest.mark.parametrize(
    "data",
    [
        head(of=64 * KIB),
        b"GET /livez?" + b"a" * (8 * KIB - 21 - 4) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        request("GET", "/livez", *(f"X-{number}: a" for number in range(200))),
    ],
    ids=["headers", "request line", "number of headers"],
)
def test_a_request_at_the_bounds_is_answered(attacked: Attacked, data: bytes) -> None:
    assert answer_to(attacked, data).status == 200


def test_a_request_beyond_the_bounds_waits_for_the_one_before_it(attacked: Attacked) -> None:
    with RawClient(attacked.url) as client:
        client.send(LIVE + b"GET /" + b"a" * 9 * KIB)
        assert [client.response().status, client.response().status] == [200, 414]
        assert client.is_closed()


CHUNKED = request(
    "POST", "/v1/tasks", "{authorization}", "Content-Type: application/json", "Transfer-Encoding: chunked"
)
ENDLESS = {
    "extensions": b"1;" + b"a" * MIB,
    "a size": b"0" * MIB,
    "tiny chunks with extensions": b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n \r\n" * 10_000,
    "trailers": b"0\r\n" + b"a: b\r\n" * 100_000,
    "no number": b"xyz\r\n",
}


@pytest.mark.parametrize("framing", ENDLESS.values(), ids=ENDLESS)
def test_chunks_that_are_mostly_framing_are_rejected(attacked: Attacked, framing: bytes) -> None:
    start = CHUNKED.replace(b"{authorization}", attacked.authorization.encode())
    with RawClient(attacked.url) as client:
        client.send(start)
        client.send(framing)
        response = client.response()
        assert (response.status, response.headers["connection"]) == (400, "close")
        assert client.is_closed()


def test_trailers_do_not_count_as_headers(attacked: Attacked) -> None:
    start = request("POST", "/v1/tasks", "Content-Type: application/json", "Transfer-Encoding: chunked")
    trailer = f"0\r\n{attacked.authorization}\r\n\r\n".encode()
    with RawClient(attacked.url) as client:
        client.send(start + b'd\r\n{"title":"a"}\r\n' + trailer)
        assert client.response().status == 401


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", [], 400),
        ("1.1", ["tandem.test", "tandem.test"], 400),
        ("1.0", ["tandem.test", "other.test"], 400),
        ("1.1", ["tandem.test/path"], 400),
        ("1.1", ["user@tandem.test"], 400),
        ("1.1", ["two words"], 400),
        ("1.0", [], 200),
        ("1.1", [""], 200),
        ("1.1", ["tandem.test:8080"], 200),
        ("1.1", ["[::1]:80"], 200),
    ],
)
def test_a_request_names_one_host(attacked: Attacked, version: str, hosts: list[str], status: int) -> None:
    lines = [f"GET /livez HTTP/{version}", *(f"Host: {host}" for host in hosts), "", ""]
    assert status_of(attacked.url, "\r\n".join(lines).encode()) == status


def drip(attacked: Attacked, start: bytes, drop: bytes) -> tuple[float, int]:
    """Sends a byte or so a second; the seconds until the server had enough, and the status of its response or 0."""
    with RawClient(attacked.url, seconds_max=1.0) as client:
        started = time.monotonic()
        client.send(start)
        while time.monotonic() - started < SECONDS_MAX:
            try:
                status = client.response().status
            except TimeoutError:
                client.send(drop)
                continue
            except ConnectionError:
                status = 0
            return time.monotonic() - started, status
    return SECONDS_MAX, -1


SLOW = {
    "nothing": (b"", b"", 0),
    "part of a header": (b"GET / HTTP/1.1\r\nHost:", b"", 408),
    "a byte of a header a second": (b"GET / HTTP/1.1\r\nHost: ", b"a", 408),
    "a header a second": (b"GET / HTTP/1.1\r\n", b"a: b\r\n", 408),
}


def test_slow_headers_end_after_ten_seconds(attacked: Attacked) -> None:
    with ThreadPoolExecutor(len(SLOW)) as threads:
        waits = {name: threads.submit(drip, attacked, start, drop) for name, (start, drop, _) in SLOW.items()}
        ends = {name: wait.result() for name, wait in waits.items()}

    assert {name: status for name, (_, status) in ends.items()} == {
        name: row[2] for name, row in SLOW.items()
    }
    assert all(10 <= seconds + 0.1 <= 13 for seconds, _ in ends.values()), ends


def test_ten_thousand_endless_headers_leave_no_memory_behind(attacked: Attacked) -> None:
    process = psutil.Process(attacked.process.process_id)
    data = b"GET / HTTP/1.1\r\nX-Endless: " + b"a" * 70 * KIB

    def attack(count: int) -> set[int]:
        return {status_of(attacked.url, data) for _ in range(count)}

    assert attack(1_000) == {431}
    before = process.memory_info().rss
    assert attack(CONNECTIONS) == {431}
    growth = process.memory_info().rss - before
    note_figures(f"{CONNECTIONS} endless headers", growth=f"{growth / MIB:.1f} MiB")
    assert growth <= GROWTH_BYTES_MAX
