"""A pooler before a PostgreSQL server, with the habits that clients of poolers have to live with.

It drops what a client asks for in its startup packet, and keeps back what the server reports when it resets a session.
"""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

_LENGTH = struct.Struct("!i")
_PLAIN_TEXT_REQUESTS = (80_877_103, 80_877_104)
"""The requests for encryption by TLS and by GSS, which clients send first."""
_REPORTED = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "DateStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
)
IDLE = b"I"
IN_TRANSACTION = b"T"


class _Gone(Exception):
    """The client said goodbye."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a pooler treats its clients.

    `server_count` server processes are shared, and each transaction gets the one that was unused longest; None for one
    per client. `resets`: DISCARD ALL after each transaction. `forgets_within`: DEALLOCATE ALL between the statements
    of a transaction. `names_process`: the client is told the process of a real server, as if nothing stood between.
    """

    server_count: int | None = None
    resets: bool = False
    forgets_within: bool = False
    names_process: bool = False


@dataclass(slots=True)
class _Server:
    """A connection to the server, taken over from the driver once it was authenticated."""

    driver: "psycopg.Connection[tuple[object, ...]]"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    process: int
    reported: dict[str, str]
    in_use: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def connected(cls, url: str) -> "_Server":
        driver = await asyncio.to_thread(lambda: psycopg.connect(url, autocommit=True))
        own = socket.socket(fileno=os.dup(driver.pgconn.socket))
        own.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=own)
        reported = {name: driver.info.parameter_status(name) or "" for name in _REPORTED}
        return cls(driver, reader, writer, driver.info.backend_pid, reported)

    async def command(self, statement: bytes) -> None:
        """Executes a statement whose answer nobody sees."""
        self.writer.write(_message(b"Q", statement + b"\0"))
        while (await _read(self.reader))[0] != b"Z":
            pass

    def close(self) -> None:
        self.writer.close()
        self.driver.close()


@dataclass(slots=True)
class PostgresPooler:
    """Listens on a free port of 127.0.0.1; `url` is the same database by this way.

    `messages` counts the clients' messages, `lost` the answers that were kept back.
    """

    server_url: str
    habits: Habits
    url: str = ""
    messages: int = 0
    lost: int = 0
    _words: bytes | None = None
    _free: "asyncio.Queue[_Server]" = field(default_factory=asyncio.Queue)
    _servers: list[_Server] = field(default_factory=list)
    _clients: "set[asyncio.Task[None]]" = field(default_factory=set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["PostgresPooler"]:
        """Serves clients for as long as the context lasts."""
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        given = conninfo_to_dict(self.server_url)
        user, database = (quote(str(given.get(name) or ""), safe="") for name in ("user", "dbname"))
        self.url = f"postgresql://{user}@127.0.0.1:{port}/{database}"
        for _ in range(self.habits.server_count or 0):
            self._free.put_nowait(await self._connected())
        try:
            yield self
        finally:
            listening.close()
            for client in self._clients:
                client.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)
            for server in self._servers:
                server.close()

    async def everywhere(self, statement: bytes) -> None:
        """Executes a statement in every session, between the transactions of its client."""
        for server in [*self._servers]:
            async with server.in_use:
                await server.command(statement)

    def lose_answer_to(self, words: bytes) -> None:
        """The next statement with these words takes effect; its client is disconnected instead of answered."""
        self._words = words

    async def _connected(self) -> _Server:
        server = await _Server.connected(self.server_url)
        self._servers.append(server)
        return server

    async def _any(self) -> _Server:
        """A server to welcome a client with; a transaction may get another one."""
        return self._servers[0] if self._servers else await self._connected()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        assert client is not None
        self._clients.add(client)
        own = None if self.habits.server_count else await self._connected()
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError, _Gone):
                await self._welcome(reader, writer, own or await self._any())
                while True:
                    await self._serve_transaction(reader, writer, own)
        finally:
            self._clients.discard(client)
            writer.close()

    async def _welcome(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: _Server
    ) -> None:
        while _LENGTH.unpack((await _packet(reader))[:4])[0] in _PLAIN_TEXT_REQUESTS:
            writer.write(b"N")
        writer.write(_message(b"R", _LENGTH.pack(0)))
        for name, value in server.reported.items():
            writer.write(_message(b"S", f"{name}\0{value}\0".encode()))
        process = server.process if self.habits.names_process else 1
        writer.write(_message(b"K", _LENGTH.pack(process) + _LENGTH.pack(0)) + _message(b"Z", IDLE))

    async def _serve_transaction(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, own: _Server | None
    ) -> None:
        kind, message = await _read(reader)
        if kind == b"X":
            raise _Gone
        if kind == b"H":
            return  # a flush with nothing to flush
        server = own or await self._free.get()
        try:
            async with server.in_use:
                await self._relay(kind, message, server, reader, writer)
                if self.habits.resets:
                    await server.command(b"DISCARD ALL")
        except BaseException:
            # The client left in the middle, so the state of this session is unknown.
            self._servers.remove(server)
            server.close()
            if not own:
                self._free.put_nowait(await self._connected())
            raise
        if not own:
            self._free.put_nowait(server)

    async def _relay(
        self,
        kind: bytes,
        message: bytes,
        server: _Server,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Relays until the server is outside a transaction again."""
        is_losing = False
        while True:
            if kind == b"X":
                raise _Gone
            server.writer.write(message)
            self.messages += 1
            if self._words is not None and self._words in message:
                self._words, is_losing = None, True
            if kind in b"QS" and is_losing:
                while (await _read(server.reader))[0] != b"Z":
                    pass
                self.lost += 1
                raise _Gone
            if kind in b"QS":
                status = await _relay_answer(server, writer)
                if status == IDLE:
                    return
                if self.habits.forgets_within and status == IN_TRANSACTION:
                    await server.command(b"DEALLOCATE ALL")
            kind, message = await _read(reader)


async def _relay_answer(server: _Server, writer: asyncio.StreamWriter) -> bytes:
    """Relays up to the end of an answer, and returns the state of the transaction."""
    while True:
        kind, message = await _read(server.reader)
        writer.write(message)
        if kind == b"Z":
            await writer.drain()
            return message[-1:]


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + _LENGTH.pack(len(content) + _LENGTH.size) + content


async def _packet(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length - _LENGTH.size)


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The kind of the next message, and all of it."""
    kind = await reader.readexactly(1)
    return kind, _message(kind, await _packet(reader))
