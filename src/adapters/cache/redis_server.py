"""One Redis server: asked in batches, set aside when it fails, taken back once it has forgotten what is owed."""

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loguru import logger

from adapters.cache.errors import CacheUnavailable, is_refusal
from adapters.cache.owed_forgets import OwedForgets
from adapters.cache.record_cache import HOLD_SECONDS, LEASE_SECONDS, RECORD_SECONDS
from adapters.cache.redis_connection import RedisConnection, ScriptCall

BATCH_MAX = 128
KEYS_MAX = 1_000
"""How many keys one call names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """Bounds. A batch fails after `timeout_ms`; then the server is left alone, first for `pause_ms`, doubling to
    `pause_ms_max`, and asked again off the request path, within `recovery_timeout_ms`.
    """

    timeout_ms: float = 50
    recovery_timeout_ms: float = 1_000
    pause_ms: float = 100
    pause_ms_max: float = 5_000
    record_seconds: float = RECORD_SECONDS
    lease_seconds: float = LEASE_SECONDS
    hold_seconds: float = HOLD_SECONDS


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A call on its way. `answer` is None where nobody knows; then the keys are owed if it `tells` of a change."""

    call: ScriptCall
    tells: bool
    answer: asyncio.Future[Any]


class RedisServer:
    """Runs scripts: what is called while a batch is under way travels together in the next one.

    After the first failure no caller asks the server again until a background task has reached it and made it forget
    every key that is owed: those of changes that were not confirmed. So a dead server costs a request nothing, one
    that hangs costs those who wait for it `timeout_ms`, and one that returns answers nothing old to this process. A
    caller that is cancelled leaves its call on its way.
    """

    def __init__(self, url: str, *, settings: RedisSettings) -> None:
        self._settings = settings
        self._connection = RedisConnection(url)
        self._queue: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._owed = OwedForgets()
        self._recovery: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_set_aside(self) -> bool:
        """Whether it is left alone at present."""
        return self._recovery is not None or self._is_closed

    async def ask(self, call: ScriptCall) -> Any:
        """The call's answer; None where there is none."""
        return None if self.is_set_aside else await self._enqueue(call, tells=False)

    async def tell(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> bool:
        """Whether the server confirmed that it ran for all keys; if not, they are owed."""
        if self.is_set_aside:
            self._owe(keys)
            return False
        parts = [keys[start : start + KEYS_MAX] for start in range(0, len(keys), KEYS_MAX)]
        calls = [self._enqueue(ScriptCall(script, part, arguments), tells=True) for part in parts]
        return all([await call is not None for call in calls])

    async def close(self) -> None:
        """Sends what waits and lets go. Harmless when closed already."""
        self._is_closed = True
        if self._recovery is not None:
            self._recovery.cancel()
        running = [task for task in (self._sender, self._recovery) if task is not None]
        if running:
            await asyncio.wait(running)
        await self._connection.close()

    def _enqueue(self, call: ScriptCall, *, tells: bool) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._queue.append(_Waiting(call, tells, answer))
        if self._sender is None:
            self._sender = loop.create_task(self._send())
        return answer

    async def _send(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]
            try:
                answers = await self._connection.run(
                    [waiting.call for waiting in batch], within_ms=self._settings.timeout_ms
                )
            except CacheUnavailable as failure:
                self._fail([*batch, *self._queue], failure)
                self._queue.clear()
                break
            for waiting, answer in zip(batch, answers, strict=True):
                if is_refusal(answer):
                    self._fail([waiting], CacheUnavailable(str(answer)))
                elif not waiting.answer.done():
                    waiting.answer.set_result(answer)
        # No turn of the loop since the last look at the queue.
        self._sender = None

    def _fail(self, calls: Sequence[_Waiting], failure: CacheUnavailable) -> None:
        self._set_aside(failure)
        for waiting in calls:
            if waiting.tells:
                self._owe(waiting.call.keys)
            if not waiting.answer.done():
                waiting.answer.set_result(None)

    def _owe(self, keys: Sequence[str]) -> None:
        # A reader that leased a place just now may still fill it with what it reads now.
        seconds = self._settings.lease_seconds + self._settings.record_seconds
        self._owed.add(keys, runs_out_at=time.monotonic() + seconds)

    def _set_aside(self, failure: CacheUnavailable) -> None:
        if self.is_set_aside:
            return
        logger.warning("The cache is set aside: {}", failure)
        self._recovery = asyncio.get_running_loop().create_task(self._recover())

    async def _recover(self) -> None:
        pause_ms = self._settings.pause_ms
        while True:
            # Jitter, so that the processes of one service do not knock together.
            await asyncio.sleep(pause_ms / 1000 * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            if await self._has_caught_up():
                break
            pause_ms = min(pause_ms * 2, self._settings.pause_ms_max)
        # No turn of the loop between the last look at what is owed and this.
        self._recovery = None
        logger.info("The cache is in use again.")

    async def _has_caught_up(self) -> bool:
        try:
            await self._forget([])
            while forgotten := self._owed.some(KEYS_MAX):
                await self._forget([key for key, _ in forgotten])
                self._owed.settled(forgotten)
        except CacheUnavailable:
            return False
        return self._owed.has_run_out(time.monotonic())

    async def _forget(self, keys: Sequence[str]) -> None:
        arguments = (secrets.token_hex(8), round(self._settings.hold_seconds * 1000))
        (answer,) = await self._connection.run(
            [ScriptCall("FORGET", keys, arguments)], within_ms=self._settings.recovery_timeout_ms
        )
        if is_refusal(answer):
            raise CacheUnavailable(str(answer))
