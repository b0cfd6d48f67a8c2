"""The bounds of connections, with short times, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from entrypoints.http.protocol.admission import Bounds, Connections
from entrypoints.http.protocol.connection import within
from tests.unit.entrypoints.http.service import Service

HEAD_SECONDS, BODY_SECONDS, IDLE_SECONDS = 0.4, 0.7, 0.3
SECONDS_MAX = 10.0
CLOSE_SECONDS = 0.05
SHORT = Bounds(
    head_seconds_max=HEAD_SECONDS,
    body_seconds_max=BODY_SECONDS,
    idle_seconds_max=IDLE_SECONDS,
    discard_seconds_max=0.3,
    stall_seconds_max=0.5,
    per_address_max=4,
    look_seconds=0.05,
)
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Pair]]


@asynccontextmanager
async def serving(app: Any, bounds: Bounds = SHORT) -> AsyncIterator[tuple[Connect, Connections]]:
    """A server in this process; how to connect to it, and its connections."""
    register = Connections(bounds)
    config = uvicorn.Config(
        app, http=within(register), lifespan="off", log_config=None, access_log=False, proxy_headers=False
    )
    config.load()
    kind: Any = config.http_protocol_class
    state = ServerState()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(
            lambda: kind(config=config, server_state=state, app_state={}), sock=listener
        )
        opened: list[asyncio.StreamWriter] = []

        async def connect() -> Pair:
            reader, writer = await asyncio.open_connection(*address)
            opened.append(writer)
            return reader, writer

        try:
            yield connect, register
        finally:
            for writer in opened:
                writer.transport.abort()
            await asyncio.sleep(CLOSE_SECONDS)
            listening.close()
            await asyncio.sleep(0)


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of the next response, 0 if the connection is closed before."""
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS_MAX)
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0
    length = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    await reader.readexactly(length)
    return int(head.split(b" ")[1])


async def dripped(connect: Connect, start: bytes, drop: bytes) -> tuple[float, int]:
    """Sends a drop ten times a second; the seconds until the response, and its status."""
    reader, writer = await connect()
    started = monotonic()
    writer.write(start)
    answer = asyncio.ensure_future(status_of(reader))
    while not answer.done():
        writer.write(drop)
        await asyncio.wait({answer}, timeout=0.1)
    return monotonic() - started, answer.result()


BODY = b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: %s\r\n"
LENGTH = BODY + b"Content-Length: 99\r\n\r\n"
CHUNKS = BODY + b"Transfer-Encoding: chunked\r\n\r\n"
SLOW = {
    "nothing": (b"", b"", HEAD_SECONDS, 0),
    "a header": (b"GET / HTTP/1.1\r\nHost: ", b"a", HEAD_SECONDS, 408),
    "empty lines": (b"", b"\r\n", HEAD_SECONDS, 408),
    "a body": (LENGTH, b" ", BODY_SECONDS, 408),
    "no body": (LENGTH, b"", BODY_SECONDS, 408),
    "chunks": (CHUNKS, b"1\r\n \r\n", BODY_SECONDS, 408),
    "an extension": (CHUNKS + b"1", b";a", BODY_SECONDS, 408),
    "trailers": (CHUNKS + b"0\r\n", b"a: b\r\n", BODY_SECONDS, 408),
    "a size": (CHUNKS, b"0", BODY_SECONDS, 408),
}


@pytest.mark.parametrize(("start", "drop", "seconds", "status"), SLOW.values(), ids=SLOW)
async def test_a_request_that_does_not_arrive_in_time_is_given_up(
    service: Service, *, start: bytes, drop: bytes, seconds: float, status: int
) -> None:
    authorization = service.headers()["Authorization"].encode()
    before = await service.stored()
    async with serving(service.app) as (connect, register):
        took, found = await dripped(connect, start.replace(b"%s", authorization), drop)
        assert found == status
        assert seconds - 0.1 <= took <= seconds + 0.6
        await asyncio.sleep(0.5)
        assert len(register) == 0
    assert await service.stored() == before


async def test_the_rest_of_a_rejected_body_is_given_up_too(service: Service) -> None:
    async with serving(service.app) as (connect, register):
        reader, writer = await connect()
        writer.write(LENGTH.replace(b"%s", b"nobody"))
        assert await status_of(reader) == 401
        await asyncio.sleep(0.8)
        assert len(register) == 0


async def test_a_connection_may_idle_for_a_while_only(service: Service) -> None:
    async with serving(service.app) as (connect, register):
        reader, writer = await connect()
        for _ in range(3):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await status_of(reader) == 200
            await asyncio.sleep(IDLE_SECONDS / 2)
        await asyncio.sleep(IDLE_SECONDS + 0.2)
        assert len(register) == 0


async def test_a_second_request_has_its_own_time(service: Service) -> None:
    async with serving(service.app) as (connect, _):
        reader, writer = await connect()
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /li")
        assert await status_of(reader) == 200
        assert await status_of(reader) == 408


async def test_a_service_that_takes_its_time_does_not_count_as_a_slow_client() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(BODY_SECONDS * 2)
        size = 0
        while (message := await receive()).get("more_body"):
            size += len(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with serving(slow) as (connect, _):
        reader, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 1_000_000)
        assert await status_of(reader) == 200


async def test_a_client_that_does_not_read_its_response_is_given_up() -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        length = str(size := 64 * 1024 * 1024).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": b"a" * size})

    async with serving(large) as (connect, register):
        _, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.3)
        assert len(register) == 1
        await asyncio.sleep(1.0)
        assert len(register) == 0


async def test_where_all_connections_have_requests_a_newcomer_is_told_to_wait(service: Service) -> None:
    release = asyncio.Event()

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            await release.wait()
        await service.app(scope, receive, send)

    async with serving(waiting) as (connect, register):
        busy = []
        for _ in range(SHORT.per_address_max):
            reader, writer = await connect()
            writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            busy.append(reader)
        await asyncio.sleep(0.2)
        newcomer, _ = await connect()
        assert await status_of(newcomer) == 503
        release.set()
        assert [await status_of(reader) for reader in busy] == [404] * len(busy)
        reader, writer = await connect()
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await status_of(reader) == 200
        assert len(register) <= SHORT.per_address_max


async def test_connections_of_a_trusted_proxy_are_not_counted_by_address() -> None:
    register = Connections(SHORT, is_exempt=lambda address: address == "10.0.0.1")

    class Busy:
        deadline = float("inf")
        waiting_since = float("inf")

        def end_overdue(self) -> None: ...
        def evict(self) -> None: ...

    assert all(register.admit(Busy(), "10.0.0.1") for _ in range(50))
    assert [register.admit(Busy(), "10.0.0.2") for _ in range(5)] == [True] * 4 + [False]
    assert [register.admit(Busy(), f"2001:db8::{number}") for number in range(5)] == [True] * 4 + [False]


UPGRADES = {
    "HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    "WebSocket": b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
    "TLS": b"Upgrade: TLS/1.3\r\nConnection: upgrade\r\n",
}
MADE = b'{"title": "Dig"}'
FRAMED = {
    "a length": (b"Content-Length: 16\r\n\r\n", MADE),
    "chunks": (
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"6\r\n" + MADE[:6] + b"\r\na\r\n" + MADE[6:] + b"\r\n0\r\n\r\n",
    ),
}
LIVE = b"GET /livez HTTP/1.1\r\nHost: a\r\n"


def asked_to_upgrade(service: Service, upgrade: bytes) -> bytes:
    """The headers of a request to make a task, without the ones of its body."""
    return BODY.replace(b"%s", service.headers()["Authorization"].encode()) + upgrade


@pytest.mark.parametrize(("framing", "body"), FRAMED.values(), ids=FRAMED)
@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
async def test_a_request_to_upgrade_keeps_its_body(
    service: Service, *, upgrade: bytes, framing: bytes, body: bytes
) -> None:
    data = asked_to_upgrade(service, upgrade) + framing + body
    async with serving(service.app) as (connect, _):
        for size in (len(data), len(data) - len(body), 7, 1):
            reader, writer = await connect()
            for start in range(0, len(data), size):
                writer.write(data[start : start + size])
                await asyncio.sleep(0)
            assert await status_of(reader) == 201
            writer.write(LIVE + b"\r\n")
            assert await status_of(reader) == 200
    assert [task["title"] for task in (await service.stored())["tasks"]] == ["Dig"] * 4


async def test_requests_to_upgrade_may_follow_each_other_at_once(service: Service) -> None:
    framing, body = FRAMED["a length"]
    one = asked_to_upgrade(service, UPGRADES["HTTP/2"]) + framing + body
    bodiless = LIVE + UPGRADES["WebSocket"] + b"\r\n"
    async with serving(service.app) as (connect, _):
        reader, writer = await connect()
        writer.write(one + bodiless + one + LIVE + b"\r\n" + bodiless + LIVE + b"\r\n")
        assert [await status_of(reader) for _ in range(6)] == [201, 200, 201, 200, 200, 200]
    assert len((await service.stored())["tasks"]) == 2


async def test_a_request_to_upgrade_has_the_bounds_of_any_other(service: Service) -> None:
    start = asked_to_upgrade(service, UPGRADES["HTTP/2"])
    async with serving(service.app) as (connect, _):
        for rest, status in (
            (b"Content-Length: 99\r\n\r\n{", 408),
            (b"Content-Length: 2000000\r\n\r\n", 413),
            (b"Transfer-Encoding: chunked\r\n\r\nnothing like a chunk", 400),
            (b"Transfer-Encoding: chunked\r\n\r\n2;" + b"a" * 70_000 + b"\r\n{}\r\n0\r\n\r\n", 400),
            (b"Expect: 100-continue\r\nContent-Length: 16\r\n\r\n", 100),
        ):
            reader, writer = await connect()
            writer.write(start + rest)
            assert await status_of(reader) == status
    assert "tasks" not in await service.stored() or not (await service.stored())["tasks"]


async def test_after_a_request_for_a_tunnel_nothing_is_read(service: Service) -> None:
    async with serving(service.app) as (connect, register):
        reader, writer = await connect()
        writer.write(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + LIVE + b"\r\n")
        assert 400 <= await status_of(reader) < 500
        assert await reader.read() == b""
        await asyncio.sleep(0.8)
        assert len(register) == 0
