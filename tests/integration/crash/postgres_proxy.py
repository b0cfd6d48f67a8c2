"""A proxy to a PostgreSQL server that drops the answer to one statement, after the statement took effect."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

CHUNK_BYTES = 64 * 1024
READY = b"Z\x00\x00\x00\x05I"
"""The end of an answer outside of a transaction: what was asked is committed."""


class PostgresProxy:
    """Forwards bytes; `lost` counts the answers it kept back."""

    def __init__(self, url: str) -> None:
        self._server = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        self._words: bytes | None = None
        self._then: Callable[[], None] | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.lost = 0
        self.url = ""

    async def open(self) -> None:
        """Listens on a free port of 127.0.0.1; `url` is the same database by this way."""
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._listening.sockets[0].getsockname()[1]
        user, password = (quote(self._server.get(name, ""), safe="") for name in ("user", "password"))
        self.url = f"postgresql://{user}:{password}@127.0.0.1:{port}/{self._server['dbname']}"

    async def close(self) -> None:
        """Ends every connection."""
        self._listening.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def lose_answer_to(self, words: bytes, *, then: Callable[[], None]) -> None:
        """The next statement with these words in a parameter takes effect; `then` runs in a thread instead of its
        answer.
        """
        self._words, self._then = words, then

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        from_server, to_server = await self._connected()
        is_losing = asyncio.Event()
        directions = [
            asyncio.create_task(self._forward(reader, to_server, is_losing)),
            asyncio.create_task(self._back(from_server, writer, is_losing)),
        ]
        try:
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            self._connections.discard(task)
            to_server.close()
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._server["host"], self._server.get("port", "5432")
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port))

    async def _forward(
        self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter, is_losing: asyncio.Event
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self._words is not None and self._words in chunk:
                self._words = None
                is_losing.set()
            to_server.write(chunk)
            await to_server.drain()

    async def _back(
        self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter, is_losing: asyncio.Event
    ) -> None:
        while chunk := await from_server.read(CHUNK_BYTES):
            if not is_losing.is_set():
                writer.write(chunk)
                await writer.drain()
            elif chunk.endswith(READY) and self._then is not None:
                self.lost += 1
                await asyncio.to_thread(self._then)
                return
