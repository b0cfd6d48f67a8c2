"""What somebody added to the tables beside Tandem, to name what may have dropped or rejected a row."""

# ruff: noqa: S608 - the name is constant; values are parameters

from collections.abc import Sequence

from adapters.postgres.connections import Connections
from adapters.postgres.expected_parts import TRIGGER

NAMED_MAX = 5
"""How many parts one message names."""
_PARTS = f"""
    SELECT 'the trigger ' || quote_ident(tgname) || ' of the table ' || tgrelid::regclass
    FROM pg_trigger WHERE tgrelid = ANY(%(tables)s::text[]::regclass[]) AND NOT tgisinternal AND tgenabled <> 'D'
        AND tgname <> '{TRIGGER}'
    UNION ALL
    SELECT 'the rule ' || quote_ident(rulename) || ' of the table ' || ev_class::regclass
    FROM pg_rewrite WHERE ev_class = ANY(%(tables)s::text[]::regclass[]) AND rulename <> '_RETURN'
    UNION ALL
    SELECT 'the row-level security of the table ' || oid::regclass
    FROM pg_class WHERE oid = ANY(%(tables)s::text[]::regclass[]) AND relrowsecurity
    ORDER BY 1
"""


async def hand_made_parts(connections: Connections, tables: Sequence[str]) -> str:
    """The triggers, rules and policies of tables, listed; empty without one but that of Tandem.

    Raises StoreUnavailable.
    """
    answer = await connections.run(_PARTS, {"tables": list(tables)})
    return ", ".join(str(part) for (part,) in (await answer.fetchall())[:NAMED_MAX])
