"""Scripts on one Redis server: many in one round trip, within a time."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from adapters.cache import redis_scripts
from adapters.cache.errors import translated

CONNECTIONS_MAX = 2
"""One for the requests' commands, which travel together; one for catching up."""

SCRIPTS: Mapping[str, str] = {
    name: getattr(redis_scripts, name) for name in ("LOOK_UP", "FILL", "HOLD", "PUT", "RELEASE", "FORGET")
}
_DIGESTS = {name: hashlib.sha1(text.encode()).hexdigest() for name, text in SCRIPTS.items()}  # noqa: S324 - Redis names scripts so


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One run of a script, by its name in SCRIPTS."""

    script: str
    keys: Sequence[str]
    arguments: Sequence[str | bytes | int]


class RedisConnection:
    """Runs scripts. Connects when it has to."""

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=None,  # each batch has one time-out for everything
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            encoding_errors="surrogatepass",  # whatever somebody asks for as an id is a key
        )
        self._client = Redis.from_pool(pool)

    async def run(self, calls: Sequence[ScriptCall], *, within_ms: float) -> list[Any]:
        """The answers in order; an answer may be the server's RedisError for that call.

        Raises CacheUnavailable where nobody knows which of them ran.
        """
        with translated():
            async with asyncio.timeout(within_ms / 1000):
                answers = await self._send(calls)
                unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                if unknown:
                    # A server that was just started; what it did not know it did not run.
                    for text in SCRIPTS.values():
                        await self._client.script_load(text)
                    again = await self._send([calls[at] for at in unknown])
                    for at, answer in zip(unknown, again, strict=True):
                        answers[at] = answer
                return answers

    async def close(self) -> None:
        """Gives the connections back. Harmless when closed already."""
        await self._client.aclose(close_connection_pool=True)

    async def _send(self, calls: Sequence[ScriptCall]) -> list[Any]:
        if len(calls) == 1:
            (call,) = calls
            try:
                return [await self._client.execute_command(*_command(call))]  # type: ignore[no-untyped-call]
            except NoScriptError as error:
                return [error]
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(*_command(call))
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers


def _command(call: ScriptCall) -> tuple[str | bytes | int, ...]:
    return ("EVALSHA", _DIGESTS[call.script], len(call.keys), *call.keys, *call.arguments)
