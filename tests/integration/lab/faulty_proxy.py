"""A TCP proxy before a database: it delays what passes, lets nothing pass, or ends connections before an answer."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

CHUNK_BYTES = 64 * 1024

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Connection]]


class FaultyProxy:
    """Forwards bytes to the server that `connect` reaches. `lost` counts the answers it kept back."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connections: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._is_dropping = False
        self.delay_seconds = 0.0
        """How long every piece of an answer waits."""
        self.lost = 0
        self.port = 0

    async def open(self) -> None:
        """Listens on a free port of 127.0.0.1."""
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Ends every connection."""
        self._listening.close()
        await self._end_all()

    def part(self) -> None:
        """Lets nothing pass from now on; connections stay open, and new ones are accepted and get no answer."""
        self._passing.clear()

    def heal(self) -> None:
        """Lets everything pass again, what was kept back included."""
        self._passing.set()

    def drop_next_answer(self) -> None:
        """Keeps the next answer back and ends its connection: the request took effect, but nobody learns it."""
        self._is_dropping = True

    async def cut(self) -> None:
        """Ends every connection that is open now."""
        await self._end_all()

    async def _end_all(self) -> None:
        ending = list(self._connections)
        for connection in ending:
            connection.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._joined((reader, writer), await self._connect())
        finally:
            self._connections.discard(task)
            writer.close()

    async def _joined(self, client: Connection, server: Connection) -> None:
        directions = [
            asyncio.create_task(self._forward(client[0], server[1])),
            asyncio.create_task(self._back(server[0], client[1])),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            server[1].close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._passing.wait()
            writer.write(chunk)
            await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self._is_dropping:
                self._is_dropping = False
                self.lost += 1
                return
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            await self._passing.wait()
            writer.write(chunk)
            await writer.drain()


def mongo_proxy_to(port: int) -> FaultyProxy:
    """A proxy before a MongoDB server of this machine."""
    return FaultyProxy(lambda: asyncio.open_connection("127.0.0.1", port))


def postgres_proxy_to(url: str) -> FaultyProxy:
    """A proxy before a PostgreSQL server on a socket or a port of this machine."""
    server = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    host, port = server["host"], server.get("port", "5432")
    if host.startswith("/"):
        return FaultyProxy(lambda: asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}"))
    return FaultyProxy(lambda: asyncio.open_connection(host, int(port)))


def through(proxy: FaultyProxy, url: str) -> str:
    """The URL of the same PostgreSQL database by way of its proxy."""
    server = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    user, password = (quote(server.get(name, ""), safe="") for name in ("user", "password"))
    return f"postgresql://{user}:{password}@127.0.0.1:{proxy.port}/{server['dbname']}"
