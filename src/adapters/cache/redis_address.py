"""What is wrong with an address of a Redis server, in words that never repeat a part of it."""

from urllib.parse import urlsplit

from redis.exceptions import RedisError

from adapters.cache.redis_connection import RedisConnection

UNREADABLE = (
    "cannot be read. Write special characters of the account and the password percent-encoded (%25 for %, %2F for /,"
    " %3F for ?, %23 for #), the number of a database as redis://host/0, and only options that redis-py has"
)
TRIED_MS = 1.0


def flaw_of(url: str) -> str | None:
    """What to change in the address; None if the driver can read it. Nothing is connected."""
    try:
        RedisConnection(url, timeout_ms=TRIED_MS, connect_timeout_ms=TRIED_MS)
        parts = urlsplit(url)
    except (RedisError, ValueError, TypeError):
        return UNREADABLE
    # The driver ignores a path that is no number, and would use another server or database than was meant.
    number = parts.path.strip("/")
    is_number = not number or (number.isascii() and number.isdecimal())
    return None if is_number and not parts.fragment else UNREADABLE
