"""Rows from before the checks of revision 0003 that no default could mend: mirrored documents of an older form.

Where every check of a table has been validated it holds no such row, and its rows are read as they are.
"""
# ruff: noqa: S608 - statements are put together from the specs; values are parameters

from collections.abc import Sequence
from typing import Any

from adapters.postgres.connections import Connections
from adapters.postgres.errors import translated
from adapters.postgres.rows import FORMS, RowForm
from adapters.postgres.statements import FETCH_MANY, SCAN, numbered
from adapters.postgres.tables import KEY_COLUMN
from adapters.records.old_records import StoredForm
from adapters.records.record import ID, VERSION, Record
from adapters.records.specs import SPECS

UNVALIDATED = """
    SELECT DISTINCT conrelid::regclass::text FROM pg_constraint
    WHERE contype = 'c' AND NOT convalidated AND connamespace = current_schema()::regnamespace
"""
VALIDATE_WHAT_HOLDS = """
    DO $$
    DECLARE broken record;
    BEGIN
        FOR broken IN
            SELECT conrelid::regclass AS place, conname FROM pg_constraint
            WHERE contype = 'c' AND NOT convalidated AND connamespace = current_schema()::regnamespace
        LOOP
            BEGIN
                EXECUTE 'ALTER TABLE ' || broken.place || ' VALIDATE CONSTRAINT ' || quote_ident(broken.conname);
            EXCEPTION WHEN check_violation THEN
                NULL;
            END;
        END LOOP;
    END $$
"""


class OldRows:
    """Which tables may hold old rows, and how these are read and rewritten."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._collections: frozenset[str] = frozenset()

    async def look(self) -> None:
        """Notes which tables have checks that were never validated."""
        answer = await self._connections.run(UNVALIDATED)
        tables = {table for (table,) in await answer.fetchall()}
        self._collections = frozenset(name for name, form in FORMS.items() if form.table in tables)

    def record(self, collection: str, row: Sequence[Any]) -> Record:
        """The record of a row, in today's form."""
        record = FORMS[collection].record(row)
        return SPECS[collection].upgraded(record) if collection in self._collections else record

    async def forms(self, collection: str, *, after: str | None, limit: int) -> list[StoredForm]:
        """See Upgradable.forms."""
        spec = SPECS[collection]
        forms = []
        for stored in await self._records(SCAN[collection], [after or "", str(limit)], FORMS[collection]):
            record = spec.upgraded(stored)
            is_current = record is stored
            forms.append(StoredForm(record[ID], is_current=is_current, fits=spec.shape.fits(record)))
        return forms

    async def rewrite(self, collection: str, ids: Sequence[str]) -> int:
        """See Upgradable.rewrite. Checks that hold by then are validated."""
        spec, form = SPECS[collection], FORMS[collection]
        rewritten = 0
        for stored in await self._records(FETCH_MANY[collection], [list(ids)], form):
            record = spec.upgraded(stored)
            if record is not stored and spec.shape.fits(record):
                with translated():
                    values = [*form.values(record), record[ID], str(stored[VERSION])]
                rewritten += await self._connections.change_once(_rewrite(form), values)
        await self._connections.run(VALIDATE_WHAT_HOLDS)
        await self.look()
        return rewritten

    async def _records(self, statement: str, parameters: list[Any], form: RowForm) -> list[Record]:
        answer = await self._connections.run(statement, parameters)
        return [form.record(row) for row in await answer.fetchall()]


def _rewrite(form: RowForm) -> str:
    """A row in place, while its version is the one that was read; when it was mirrored stays."""
    columns = ", ".join(f'"{column.name}"' for column in form.columns)
    values = ", ".join(f"%s::{column.sql_type}" for column in form.columns)
    return numbered(
        f"UPDATE {form.table} SET ({columns}) = ROW({values}) WHERE {KEY_COLUMN} = %s AND version = %s"
    )
