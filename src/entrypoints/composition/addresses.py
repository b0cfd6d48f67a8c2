"""The settings that name a database, a server or a cache, checked by the drivers that will read them.

A driver is loaded only for an address that is set. No message repeats a part of an address, which may hold a password.
"""

import re
from ipaddress import IPv6Address
from urllib.parse import quote

from entrypoints.composition.variables import Variables

EMBEDDED = "embedded"
MEMORY = "memory"
DATABASE_DEFAULT = "tandem"
DATABASE_BYTES_MAX = 63
"""What MongoDB allows; MontyDB names its file after the database."""
_FORBIDDEN_IN_DATABASE = frozenset('/\\. "$')
_OF_THE_SERVER = frozenset({"admin", "config", "local"})
_SERVER_NAME = re.compile(r"[\w.-]+")
SERVERS_MAX = 16


def database_name(variables: Variables) -> str:
    """The name of the database in MongoDB, and of the file of MontyDB."""
    name = variables.text("DB_NAME") or DATABASE_DEFAULT
    is_too_long = len(name.encode("utf-8", "replace")) > DATABASE_BYTES_MAX
    if is_too_long or not name.isprintable() or _FORBIDDEN_IN_DATABASE & set(name):
        variables.violation(
            "DB_NAME", f'must have at most {DATABASE_BYTES_MAX} bytes, and none of / \\ . " $ and no space'
        )
    elif name in _OF_THE_SERVER:
        variables.violation("DB_NAME", f"cannot be {name}, which MongoDB keeps for itself")
    return name


def mongodb_uri(variables: Variables) -> str | None:
    """The address of the MongoDB deployment; None if unset."""
    uri = variables.text("MONGODB_URI")
    if uri is None:
        return None
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        variables.violation("MONGODB_URI", "must start with mongodb:// or mongodb+srv://")
        return uri
    from adapters.mongo.address import flaw_of  # noqa: PLC0415 - slow to load, and only for those who use it

    _note(variables, "MONGODB_URI", flaw_of(uri))
    return uri


def postgres_url(variables: Variables) -> str | None:
    """The address of the PostgreSQL database, also where it is given in parts, or `embedded`; None if unset."""
    url = variables.text("POSTGRES_URL")
    if url is None:
        return _postgres_of_parts(variables)
    if url == EMBEDDED:
        return url
    if not url.startswith(("postgres://", "postgresql://")):
        variables.violation("POSTGRES_URL", "must start with postgresql://, or be `embedded`")
        return url
    from adapters.postgres.address import flaw_of  # noqa: PLC0415 - slow to load, and only for those who use it

    _note(variables, "POSTGRES_URL", flaw_of(url))
    return url


def _postgres_of_parts(variables: Variables) -> str | None:
    host = variables.text("POSTGRES_HOST")
    if host is None:
        return None
    user = quote(variables.text("POSTGRES_USER") or "tandem", safe="")
    password = variables.text("POSTGRES_PASSWORD")
    port = variables.integer("POSTGRES_PORT", default=5432, least=1, most=65_535)
    account = user if password is None else f"{user}:{quote(password, safe='')}"
    name = quote(variables.text("POSTGRES_NAME") or "tandem", safe="")
    servers = [_server(part.strip()) for part in host.split(",", SERVERS_MAX)]
    if None in servers:
        variables.violation(
            "POSTGRES_HOST",
            "must be the name or the address of a server, or the directory of its socket, and nothing else. Its port"
            " belongs in POSTGRES_PORT",
        )
    return f"postgresql://{account}@{','.join(f'{server}:{port}' for server in servers)}/{name}"


def _server(text: str) -> str | None:
    """A server as it stands in an address; None if the text is something else."""
    if text.startswith("/"):
        return quote(text, safe="")
    try:
        return f"[{quote(str(IPv6Address(text.removeprefix('[').removesuffix(']'))), safe=':')}]"
    except ValueError:
        return text if _SERVER_NAME.fullmatch(text) else None


def cache_url(variables: Variables, *, source: str) -> str | None:
    """The address of the Redis server, or `memory`; None if unset."""
    url = variables.text("CACHE_URL")
    if url is None:
        return None
    if url == MEMORY:
        if source != "monty":
            variables.violation(
                "CACHE_URL",
                f"cannot be `memory` with {source} as the source, because other processes can change its records. "
                "Name a Redis server (redis://...) or leave it unset",
            )
    elif not url.startswith(("redis://", "rediss://")):
        variables.violation("CACHE_URL", "must be `memory` or start with redis://")
    else:
        from adapters.cache.redis_address import flaw_of  # noqa: PLC0415 - slow to load, and seldom used

        _note(variables, "CACHE_URL", flaw_of(url))
    return url


def _note(variables: Variables, variable: str, flaw: str | None) -> None:
    if flaw is not None:
        variables.violation(variable, flaw)
