"""The schema of one database: the revision it records, what brings it to that of this program, and what differs."""

import asyncio
from collections.abc import Sequence
from typing import Any

from adapters.postgres.connections import Connections
from adapters.postgres.installed_columns import Flaw
from adapters.postgres.installed_revision import revision_flaw_of, revision_of
from adapters.postgres.installed_schema import CURRENT_REVISION, HEAD, schema_flaws_of
from adapters.postgres.privileges import missing_privileges_of
from adapters.records.record_store import SchemaGone, SchemaMissing, StoreRefused
from adapters.records.revisions import Revision
from application.ports.schema import SchemaFlaw


class SchemaSteps:
    """Over the connections of a record store; Alembic, which is slow to load, only where it has to change something."""

    def __init__(self, url: str, connections: Connections) -> None:
        self._url = url
        self._connections = connections

    async def prepare(self) -> None:
        """See RecordStore. A revision that is not recorded any more, although all tables are there, is recorded again.

        Raises StoreRefused for tables of an unknown revision.
        """
        found = await self._revisions()
        if HEAD in found:
            return
        from adapters.postgres.migrate import restore, upgrade  # noqa: PLC0415 - half a second, and rarely needed

        flaw = await revision_flaw_of(found, self._rows)
        if flaw is None:
            await asyncio.to_thread(upgrade, self._url)
        elif flaw.statements:
            await asyncio.to_thread(restore, self._url, [flaw.statements])
        else:
            raise StoreRefused(flaw.shown.cause, remedy=flaw.shown.remedy)
        await self._revisions()  # so that the new tables are known

    async def revision(self) -> Revision:
        """The current revision of the tables, and the one that this program needs. Raises SchemaGone for tables that
        this process has found before.
        """
        return Revision(revision_of(await self._revisions()), HEAD)

    async def flaws(self) -> Sequence[SchemaFlaw]:
        """See Examined."""
        return [flaw.shown for flaw in await self._flaws()]

    async def restore_parts(self) -> None:
        """See Examined."""
        statements = [flaw.statements for flaw in await self._flaws() if flaw.statements]
        if statements:
            from adapters.postgres.migrate import restore  # noqa: PLC0415 - as above

            await asyncio.to_thread(restore, self._url, statements)

    async def missing_privileges(self) -> Sequence[str]:
        """See Accessed."""
        return await missing_privileges_of(self._rows)

    async def step_back(self) -> None:
        """Undoes the last migration. Raises StoreUnavailable."""
        from adapters.postgres.migrate import downgrade  # noqa: PLC0415 - as above

        await asyncio.to_thread(downgrade, self._url, "-1")

    async def _flaws(self) -> Sequence[Flaw]:
        found = await self._revisions()
        flaw = await revision_flaw_of(found, self._rows)
        wrong = () if flaw is None else (flaw,)
        is_examined = HEAD in found or (flaw is not None and flaw.statements)
        return (*wrong, *await schema_flaws_of(self._rows)) if is_examined else wrong

    async def _revisions(self) -> list[str]:
        """Every revision that the database records: one, unless somebody changed that. Raises as `revision`."""
        try:
            rows = await self._rows(CURRENT_REVISION, [])
        except SchemaGone:
            raise
        except SchemaMissing:
            rows = []
        self._connections.known_tables.note(rows)
        return [str(row[0]) for row in rows]

    async def _rows(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        answer = await self._connections.run(statement, parameters)
        return await answer.fetchall()
