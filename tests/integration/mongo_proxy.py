"""A TCP proxy before a MongoDB server that can lose the answer to one command, as a broken network does."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress

_LENGTH = struct.Struct("<i")


class MongoProxy:
    """Forwards the wire protocol message by message; `lost` counts the answers it kept back."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._command: bytes | None = None
        self._then: Callable[[], None] | None = None
        self._connections: set[asyncio.Task[None]] = set()
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
        self._command, self._then = command, then

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
                to_server.write(request)
                if await self._answered(request, from_server, writer):
                    continue
                return
        finally:
            to_server.close()

    async def _answered(
        self, request: bytes, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the answer was passed on. Every answer but a streamed hello belongs to one request."""
        is_victim = self._command is not None and self._command in request
        if is_victim:
            self._command = None
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
