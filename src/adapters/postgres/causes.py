"""Why PostgreSQL cannot be used, in words that everybody may read: without host, path, account or database name.

A failed connection has no SQLSTATE in the driver, so the server's own words decide. A server that speaks another
language gives the general cause only.
"""

import re

import psycopg

REFUSED = "PostgreSQL cannot be reached: nothing listens at its address. Start it, or correct the address."
UNKNOWN_HOST = "PostgreSQL cannot be reached: the name of its host is not known. Correct the address."
NO_LOGIN = "PostgreSQL does not let this account log in (NOLOGIN). Let it: ALTER ROLE … LOGIN."
NO_ROLE = "PostgreSQL does not know this account. Create it, or correct the address."
WRONG_PASSWORD = "PostgreSQL rejects the password of this account. Correct it."  # noqa: S105 - a message
NO_DATABASE = "The database does not exist in PostgreSQL. Create it, or correct the address."
CLOSED_DATABASE = "The database accepts no connections: ALTER DATABASE … ALLOW_CONNECTIONS true."
NO_ACCESS = (
    "PostgreSQL does not let this account use the database from here. Grant CONNECT, or correct pg_hba.conf."
)
NO_SLOTS = (
    "PostgreSQL has too many connections. Close some, or raise max_connections or the limit of the account."
)
STARTING = "PostgreSQL is starting."
STOPPING = "PostgreSQL is shutting down."
NO_TLS = "PostgreSQL and this program do not agree on TLS. Correct sslmode and the certificates."
READ_ONLY = "PostgreSQL is read-only: it is a standby, or default_transaction_read_only is on."
FULL = "The disk of PostgreSQL is full. Free some space."
NO_MEMORY = "PostgreSQL has no memory left."
NO_PRIVILEGE = "The account lacks a privilege on a table of Tandem. Grant it."
DISK = "PostgreSQL reports an error of its disk, or damaged data. Read its log."

_BY_TEXT = tuple(
    (re.compile(pattern), cause)
    for pattern, cause in (
        ("is not permitted to log in", NO_LOGIN),
        ("role .* does not exist", NO_ROLE),
        ("password authentication failed|no password supplied|authentication failed", WRONG_PASSWORD),
        ("database .* does not exist", NO_DATABASE),
        ("is not currently accepting connections", CLOSED_DATABASE),
        ("too many connections|too many clients|remaining connection slots", NO_SLOTS),
        ("is starting up|not yet accepting connections|consistent recovery state", STARTING),
        ("is shutting down", STOPPING),
        ("permission denied for database|no pg_hba.conf entry", NO_ACCESS),
        ("read-write|read-only|recovery mode", READ_ONLY),
        ("SSL|certificate", NO_TLS),
        ("resolve host|could not translate host", UNKNOWN_HOST),
        ("Connection refused|No such file", REFUSED),
    )
)
_BY_STATE = {
    "25006": READ_ONLY,
    "28000": NO_LOGIN,
    "28P01": WRONG_PASSWORD,
    "3D000": NO_DATABASE,
    "42501": NO_PRIVILEGE,
    "53100": FULL,
    "53200": NO_MEMORY,
    "53300": NO_SLOTS,
    "57P03": STARTING,
    "58030": DISK,
    "58P01": DISK,
    "XX001": DISK,
    "XX002": DISK,
}


def cause_of(error: psycopg.Error) -> str | None:
    """Why the server cannot be used; None if its error does not tell."""
    if error.sqlstate is not None:
        return _BY_STATE.get(error.sqlstate)
    text = str(error)
    return next((cause for pattern, cause in _BY_TEXT if pattern.search(text)), None)
