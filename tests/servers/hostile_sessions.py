"""Settings of sessions that change what values mean, how durable they are, or whether they can be written at all."""

from collections.abc import Mapping

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

HOSTILE: Mapping[str, str] = {
    "client_encoding": "LATIN1",
    "synchronous_commit": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "TimeZone": "Asia/Kathmandu",
    "search_path": "elsewhere",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "row_security": "on",
    "gin_fuzzy_search_limit": "1",
    "statement_timeout": "60s",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "250ms",
    "idle_session_timeout": "1h",
}


def make_database_hostile(url: str) -> None:
    """Gives every later session of a database these settings."""
    database = sql.Identifier(str(conninfo_to_dict(url)["dbname"]))
    _set_all(url, sql.SQL("ALTER DATABASE {}").format(database))


def make_role_hostile(url: str, role: str) -> None:
    """Gives every later session of a role these settings."""
    _set_all(url, sql.SQL("ALTER ROLE {}").format(sql.Identifier(role)))


def hostile_environment() -> dict[str, str]:
    """The variables by which libpq sets sessions."""
    options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in HOSTILE.items())
    return {
        "PGOPTIONS": options,
        "PGCLIENTENCODING": "LATIN1",
        "PGTZ": "Asia/Kathmandu",
        "PGDATESTYLE": "SQL, DMY",
        "PGTARGETSESSIONATTRS": "read-only",
    }


def friendly(url: str) -> str:
    """The address for a session with PostgreSQL's own defaults, whatever the role and the database say."""
    settings = {
        "search_path": "public",
        "default_transaction_read_only": "off",
        "default_transaction_isolation": "read\\ committed",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
        "timezone": "UTC",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return make_conninfo(url, options=options, client_encoding="UTF8", target_session_attrs="any")


def _set_all(url: str, alter: sql.Composed) -> None:
    with psycopg.connect(friendly(url), autocommit=True) as connection:
        for name, value in HOSTILE.items():
            parts = (alter, sql.SQL(" SET "), sql.Identifier(name), sql.SQL(" = "), sql.Literal(value))
            connection.execute(sql.Composed(parts))
