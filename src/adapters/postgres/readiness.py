"""Checks whether a server that answers can be used: once, when the store opens."""

from loguru import logger

from adapters.postgres.connections import Connections
from adapters.records.record_store import StoreRefused

VERSION_MIN = 140_000
"""PostgreSQL 14, the oldest version that is still maintained."""

_FACTS = """
    SELECT current_setting('server_version_num')::int, current_setting('server_version'),
           current_setting('server_encoding'), pg_is_in_recovery(), current_setting('fsync')
"""


async def require_usable(connections: Connections) -> None:
    """Raises StoreRefused with a remedy where the server cannot keep the promises of a record store."""
    answer = await connections.run(_FACTS)
    ((number, version, encoding, is_standby, fsync),) = await answer.fetchall()
    if number < VERSION_MIN:
        raise StoreRefused(f"PostgreSQL {version} is too old. Use version {VERSION_MIN // 10_000} or newer.")
    if encoding != "UTF8":
        raise StoreRefused(
            f"The database keeps text as {encoding}, which cannot hold every character. "
            "Make another one: CREATE DATABASE tandem ENCODING 'UTF8' TEMPLATE template0."
        )
    if is_standby:
        raise StoreRefused("This PostgreSQL server is a standby. Let POSTGRES_URL name the primary server.")
    if fsync != "on":
        logger.warning("PostgreSQL runs with fsync={}: a power cut can lose what it has confirmed.", fsync)
