"""One connection to a Redis server that runs scripts in batches."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout

BATCH_MAX = 128

_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((AuthenticationError, AuthorizationError), "It rejects the credentials; correct CACHE_URL."),
    (NoPermissionError, "The account in CACHE_URL may not use it."),
    (ReadOnlyError, "It is read-only."),
    (OutOfMemoryError, "Its memory is full."),
    (BusyLoadingError, "It is still starting."),
    (MaxConnectionsError, "It has no connection left."),
    ((TimeoutError, RedisTimeout), "It did not answer in time."),
    (ResponseError, "It rejects what is asked of it: version 6.0 or newer is needed."),
)
Argument = str | bytes | int


class CacheUnavailable(Exception):
    """The server rejected a call, or did not answer in time; in that case it may still take effect."""


@dataclass(frozen=True, slots=True)
class _Call:
    script: str
    keys: Sequence[str]
    arguments: Sequence[Argument]
    answer: asyncio.Future[Any]


class RedisConnection:
    """Runs scripts. Calls made while a batch is in progress are sent together in the next batch."""

    def __init__(self, url: str, *, timeout_ms: float, connect_timeout_ms: float) -> None:
        pool = ConnectionPool.from_url(
            url,
            protocol=2,
            socket_timeout=None,  # one time limit covers the whole batch
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            encoding_errors="surrogatepass",  # any text may be an id
        )
        self._connection = pool.make_connection()  # type: ignore[no-untyped-call]
        self._timeout_seconds = timeout_ms / 1000
        self._connect_timeout_seconds = connect_timeout_ms / 1000
        self._run_id = ""
        self._queue: deque[_Call] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def call(self, script: str, keys: Sequence[str], *arguments: Argument) -> Any:
        """The script's answer. Raises CacheUnavailable. A caller that is cancelled does not stop the call."""
        loop = asyncio.get_running_loop()
        call = _Call(script, keys, arguments, loop.create_future())
        self._queue.append(call)
        if self._sender is None:
            self._sender = loop.create_task(self._send())
        answer = await call.answer
        if isinstance(answer, Exception):
            raise CacheUnavailable(_reason_of(answer)) from answer
        return answer

    async def close(self) -> None:
        """Sends the calls that are waiting and disconnects. Harmless when closed already."""
        if self._sender is not None:
            await asyncio.wait([self._sender])
        await self._connection.disconnect()

    async def _send(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]
            for call, answer in zip(batch, await self._answers(batch), strict=True):
                if not call.answer.done():
                    call.answer.set_result(answer)
        # There is no await between the last check of the queue and this.
        self._sender = None

    async def _answers(self, batch: Sequence[_Call]) -> Sequence[Any]:
        """The answers in order; an exception in the place of each one that is missing."""
        is_connected = self._connection.is_connected
        try:
            async with asyncio.timeout(
                self._timeout_seconds if is_connected else self._connect_timeout_seconds
            ):
                try:
                    return await self._exchange(batch)
                except (RedisError, OSError):
                    # Servers close idle connections. Scripts may run twice.
                    await self._connection.disconnect(nowait=True)
                    return await self._exchange(batch)
        except Exception as error:  # noqa: BLE001 - not even a bug in the driver may fail a request
            await self._connection.disconnect(nowait=True)
            return [error] * len(batch)

    async def _exchange(self, batch: Sequence[_Call]) -> list[Any]:
        if not self._connection.is_connected:
            await self._connection.connect()
            await self._connection.send_command("INFO", "server")
            lines = (await self._connection.read_response()).decode().splitlines()
            self._run_id = next(line for line in lines if line.startswith("run_id:"))
        commands = []
        for call in batch:
            keys = [f"{self._run_id}:{key}" for key in call.keys]
            commands.append(("EVAL", call.script, len(keys), *keys, *call.arguments))
        await self._connection.send_packed_command(self._connection.pack_commands(commands))
        return [await self._response() for _ in commands]

    async def _response(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error


def _reason_of(error: Exception) -> str:
    """Why there is no answer. The driver's own text contains the address."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "It cannot be reached; start it, or correct CACHE_URL."
