"""Why PostgreSQL cannot be used, in words that everybody may read: without host, account or database name.

A failed connection has no SQLSTATE in the driver, so the server's own words decide. Where they are not known, as those
of a server that speaks another language or of a trigger on logins, they are shown.
"""

import re

import psycopg
from psycopg.errors import InsufficientPrivilege

REFUSED = (
    "PostgreSQL cannot be reached: nothing listens at its address. An embedded one is started again by itself. Start"
    " any other one, or correct its address."
)
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
NO_PRIVILEGE_ON = "The account lacks a privilege in PostgreSQL: {}. Grant it."
HIDDEN = (
    "Row-level security hides rows of the table {table} from the account of Tandem, so that nothing is read or written"
    " there. Turn it off: ALTER TABLE {table} DISABLE ROW LEVEL SECURITY. Or exempt the account: ALTER ROLE …"
    " BYPASSRLS."
)
DISK = "PostgreSQL reports an error of its disk, or damaged data. Read its log."

REFUSES = "PostgreSQL refuses the connection. It says: {}"

WORDS_LENGTH_MAX = 200
_NAME_LENGTH_MIN = 3
"""A shorter name of an account or a database is only left out where it is quoted: it may be part of any word."""
_CHECK_OF_POLICIES = "check_enable_rls"
"""The function of the server that refuses a statement because a policy applies to it."""
_QUOTED = re.compile(r'["“«„]\s?([^"”»“]+?)\s?["”»“]')
"""A name in a message, in whatever language the server speaks."""
_SAID_BY_SERVER = re.compile(r"(?:failed|server): ?[^:\n]{1,20}?:  (\S.*)")
"""The severity, in the language of the server, and two spaces come before its words, and before no others."""


def _patterns(*texts: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), cause) for pattern, cause in texts)


_BY_SERVER = _patterns(
    ('role ".*" is not permitted to log in', NO_LOGIN),
    ('role ".*" does not exist', NO_ROLE),
    ('password authentication failed for user ".*"', WRONG_PASSWORD),
    ('database ".*" does not exist', NO_DATABASE),
    ('database ".*" is not currently accepting connections', CLOSED_DATABASE),
    (
        "too many connections for .*|sorry, too many clients already|remaining connection slots are .*",
        NO_SLOTS,
    ),
    ("the database system is (starting up|(not yet|not) accepting connections|in recovery mode)", STARTING),
    ("the database system is shutting down", STOPPING),
    ('permission denied for database ".*"|no pg_hba.conf entry for .*', NO_ACCESS),
)
"""What a server says when it refuses a connection, in full: anybody else's words are shown as they are."""
_BY_DRIVER = _patterns(
    ("no password supplied", WRONG_PASSWORD),
    ("read-write|read-only|hot standby|recovery mode", READ_ONLY),
    ("SSL|certificate", NO_TLS),
    ("resolve host|could not translate host", UNKNOWN_HOST),
    ("Connection refused|No such file", REFUSED),
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


def hidden_rows_of(error: psycopg.Error) -> str | None:
    """Which table has rows that row-level security hides, and what to do; None for every other error."""
    if not isinstance(error, InsufficientPrivilege) or error.diag.source_function != _CHECK_OF_POLICIES:
        return None
    named = _QUOTED.search(error.diag.message_primary or "")
    return HIDDEN.format(table="…" if named is None else named.group(1))


def cause_of(error: psycopg.Error) -> str | None:
    """Why the server cannot be used; None if its error does not tell."""
    if error.sqlstate is not None:
        if not error.diag.context and (hidden := hidden_rows_of(error)):
            return hidden
        if isinstance(error, InsufficientPrivilege) and error.diag.message_primary and not error.diag.context:
            # The server's own words name the table; those of a function may name anything.
            return NO_PRIVILEGE_ON.format(error.diag.message_primary)
        return _BY_STATE.get(error.sqlstate)
    text = str(error)
    said = _SAID_BY_SERVER.findall(text)
    if not said:
        return next((cause for pattern, cause in _BY_DRIVER if pattern.search(text)), None)
    # Of several addresses the last one was tried last.
    words: str = said[-1].strip()
    known = next((cause for pattern, cause in _BY_SERVER if pattern.fullmatch(words)), None)
    return known or REFUSES.format(_without_names(words, error)[:WORDS_LENGTH_MAX])


def _without_names(words: str, error: psycopg.Error) -> str:
    """The words without what the address names: account, database and host."""
    words = re.sub(r'\bhost "[^"]*"', "host …", words)  # that of this program, as the server sees it
    address = error.pgconn
    named = [] if address is None else [address.user, address.db, address.host, address.hostaddr]
    for name in (name.decode(errors="replace") for name in named if name):
        words = words.replace(f'"{name}"', "…")
        if len(name) >= _NAME_LENGTH_MIN:
            words = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", words)
    return words
