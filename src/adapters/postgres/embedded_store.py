"""The record store over a PostgreSQL server of our own (`POSTGRES_URL=embedded`)."""

import asyncio
from pathlib import Path

from adapters.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresUnavailable
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable

NO_ADDRESS = "postgresql:///tandem"
"""Stands for the address until the server has one; nothing connects before `open`."""


class EmbeddedPostgresRecordStore(PostgresRecordStore):
    """Starts or adopts the server of a directory when it opens, and starts it again when it is found dead.

    Closing lets go of the server; the last process that uses it stops it.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(NO_ADDRESS)
        self._directory = directory
        self._server: EmbeddedPostgres | None = None
        self._starting: asyncio.Task[EmbeddedPostgres] | None = None

    async def open(self) -> None:
        """Raises StoreRefused where no PostgreSQL can be started here, saying what to do."""
        if self._server is None:
            self._server = await self._started()
            self._use(self._server.url)
        await super().open()

    async def ping(self) -> None:
        """A server that has died is started again, so that the next request may find it."""
        try:
            await super().ping()
        except StoreUnavailable:
            await self._revive()
            raise

    async def close(self) -> None:
        await super().close()
        if self._starting is not None:
            self._server = await self._started()
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.to_thread(server.stop)

    async def _started(self) -> EmbeddedPostgres:
        """The server, once it runs. A caller that gives up leaves the start going, and the next one joins it."""
        if self._starting is None:
            start = asyncio.to_thread(EmbeddedPostgres.start, self._directory)
            self._starting = asyncio.create_task(start, name="starting PostgreSQL")
        try:
            server = await asyncio.shield(self._starting)
        except EmbeddedPostgresUnavailable as unavailable:
            self._starting = None
            raise StoreRefused(str(unavailable)) from unavailable
        self._starting = None
        return server

    async def _revive(self) -> None:
        if self._server is None:
            return
        try:
            await asyncio.to_thread(self._server.ensure_running)
        except EmbeddedPostgresUnavailable as unavailable:
            raise StoreUnavailable(str(unavailable)) from unavailable
