"""A TCP proxy before a MongoDB server that keeps the commands it saw, and can lose the answer to one of them."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import bson

_LENGTH = struct.Struct("<i")
_OPCODE_AT = 12
_OP_MSG = 2_013
_BODY_AT = 21
"""After the header, the flags and the kind of the first section, which is the command itself."""


class MongoProxy:
    """Forwards the wire protocol message by message; `lost` counts the answers it kept back.

    `commands` are those of clients, without the documents that a command carries beside itself.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._command: bytes | None = None
        self._then: Callable[[], None] | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._is_forwarded = True
        self.commands: list[dict[str, Any]] = []
        self.lost = 0
        self.port = 0

    async def open(self) -> None:
        """Listens on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Ends every connection."""
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def lose_answer_to(self, command: bytes, *, then: Callable[[], None] | None = None) -> None:
        """The next such command reaches the server and takes effect; its answer is dropped with the connection.

        `then` runs in between, in a thread.
        """
        self._command, self._then, self._is_forwarded = command, then, True

    def lose(self, command: bytes, *, then: Callable[[], None]) -> None:
        """The next such command does not reach the server; `then` runs, in a thread, and the connection is dropped."""
        self._command, self._then, self._is_forwarded = command, then, False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            while True:
                request = await _message(reader)
                self._keep(request)
                if not await self._answered(request, (from_server, to_server), writer):
                    return
        finally:
            to_server.close()

    def _keep(self, request: bytes) -> None:
        opcode = _LENGTH.unpack_from(request, _OPCODE_AT)[0]
        if opcode == _OP_MSG:
            (length,) = _LENGTH.unpack_from(request, _BODY_AT)
            self.commands.append(bson.decode(request[_BODY_AT : _BODY_AT + length]))

    async def _answered(
        self,
        request: bytes,
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Whether the answer was passed on. Every answer but a streamed hello belongs to one request."""
        from_server, to_server = server
        is_victim = self._command is not None and self._command in request
        if is_victim:
            self._command = None
        answer = b""
        if self._is_forwarded or not is_victim:
            to_server.write(request)
            answer = await _message(from_server)
        if is_victim:
            self.lost += 1
            if self._then is not None:
                await asyncio.to_thread(self._then)
            return False
        writer.write(answer)
        await writer.drain()
        return True


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(_LENGTH.size)
    (length,) = _LENGTH.unpack(head)
    return head + await reader.readexactly(length - _LENGTH.size)
