"""The record store over a PostgreSQL server that it starts and stops (`POSTGRES_URL=embedded`)."""

import asyncio
from pathlib import Path

from adapters.embedded_postgres.server import EmbeddedPostgres
from adapters.postgres.record_store import PostgresRecordStore
from adapters.records.described import Space, free_bytes
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable

BACK_IN_USE = "Put them back, or restore a copy: it is used again within seconds."


class EmbeddedPostgresRecordStore(PostgresRecordStore):
    """Starts the server of a directory when it opens, starts it again when it has died, and stops it when it closes.

    A start continues in its thread if its caller is cancelled, and the next call waits for it.
    """

    def __init__(self, directory: Path) -> None:
        self._server = EmbeddedPostgres(directory)
        self._is_started = False
        super().__init__(self._server.url)

    async def open(self) -> None:
        """Raises StoreRefused where no PostgreSQL can be started, saying what to do."""
        await asyncio.to_thread(self._server.start)
        self._is_started = True
        await super().open()

    async def inspect(self) -> None:
        """Raises NothingStored where there is no database yet; otherwise StoreUnavailable: only the process that starts
        the server can use it.
        """
        self._server.require_database()
        raise StoreUnavailable(
            "The embedded PostgreSQL runs only while the service does. To start it, type: tandem serve"
        )

    async def ping(self) -> None:
        """Raises StoreUnavailable; a server that has died is started again for the next request.

        One whose files were removed is stopped: what it stored would be in no file that anybody finds. It is started
        again once files are in their place.
        """
        if self._is_started and not self._server.has_files:
            if not self._server.is_busy:
                await asyncio.to_thread(self._server.stop)
            raise StoreUnavailable(f"{self._removed} {BACK_IN_USE}")
        try:
            await super().ping()
        except StoreUnavailable:
            # One start at a time: callers give up waiting, and each would leave a thread behind.
            if self._is_started and not self._server.is_busy:
                await self._restart()
            raise

    async def space(self) -> Space:
        """See Described: the server's disk is that of this machine."""
        used = (await super().space()).used
        return Space(used, await asyncio.to_thread(free_bytes, self._server.directory))

    def require_files(self) -> None:
        """See OnDisk."""
        if self._is_started and not self._server.has_files:
            raise StoreRefused(self._removed, remedy="Restore them from a copy, then start Tandem again.")

    @property
    def _removed(self) -> str:
        return f"The files of PostgreSQL in {self._server.directory} were removed while in use."

    async def close(self) -> None:
        self._is_started = False
        await super().close()
        await asyncio.to_thread(self._server.stop)

    async def _restart(self) -> None:
        try:
            await asyncio.to_thread(self._server.start)
        except StoreRefused as refused:
            raise StoreUnavailable(str(refused)) from refused
