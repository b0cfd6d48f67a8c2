"""What the account may do with the tables of Tandem."""

from collections.abc import Sequence

from adapters.postgres.installed_columns import Run
from adapters.postgres.installed_schema import OWN_COLUMNS
from adapters.postgres.rows import FORMS

ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")
READ_ONLY = ("alembic_version", "tandem_foreign_changes", "tandem_tables")
"""Tables that only migrations write, and a function that has the rights of their owner."""
_MISSING = """
    SELECT name, string_agg(privilege, ', ' ORDER BY place), quote_ident(current_user)
    FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS needed (name, privilege, place)
    WHERE NOT has_table_privilege(to_regclass(quote_ident(name))::oid, privilege)
    GROUP BY name ORDER BY name
"""
_TEMPORARY = """
    SELECT quote_ident(current_database()), quote_ident(current_user)
    WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
"""


async def missing_privileges_of(run: Run) -> Sequence[str]:
    """What the account may not do with tables that are there, each with a remedy. Raises StoreUnavailable."""
    tables = [*OWN_COLUMNS, *(form.table for form in FORMS.values())]
    needed = [(table, one) for table in tables for one in (ALL[:1] if table in READ_ONLY else ALL)]
    missing = [
        f"The account {account} may not {privileges} in the table {table}."
        f" Grant it: GRANT {privileges} ON {table} TO {account}"
        for table, privileges, account in await run(
            _MISSING, [list(column) for column in zip(*needed, strict=True)]
        )
    ]
    missing += [
        f"The account {account} may not make temporary tables, which a backfill needs."
        f" Grant it: GRANT TEMPORARY ON DATABASE {database} TO {account}"
        for database, account in await run(_TEMPORARY, ())
    ]
    return missing
