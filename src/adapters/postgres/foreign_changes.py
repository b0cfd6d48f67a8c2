"""Counts what others change in the tables. Sessions of ours set `tandem.writer`; a trigger of each table counts the
statements of all other sessions, in their own transactions; also of those that replicate or restore
(`session_replication_role = replica`), because it is enabled always.

It does not see who disables the trigger, writes, and enables it again, and who writes through a session of a pooler in
transaction mode that Tandem has set before.
"""

# ruff: noqa: S608 - names come from the specs

from adapters.postgres.connections import Connections
from adapters.postgres.expected_parts import TRIGGER
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS

_TABLES = ", ".join(f"to_regclass('{spec.table}')" for spec in (*ENTITY_SPECS, AUDIT_LOGS))
_COUNTED = (
    "SELECT (SELECT coalesce(sum(statements), 0)::bigint FROM tandem_foreign_changes),"
    f" (SELECT count(*) FROM pg_trigger WHERE tgname = '{TRIGGER}' AND tgenabled = 'A'"
    f" AND tgrelid IN ({_TABLES}))"
)


async def foreign_changes(connections: Connections) -> int | None:
    """The number of statements so far; None where the trigger of a table is missing or not enabled always."""
    ((statements, triggers),) = await (await connections.run(_COUNTED)).fetchall()
    return int(statements) if triggers == len(ENTITY_SPECS) + 1 else None
