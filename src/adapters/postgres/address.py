"""What is wrong with an address of a PostgreSQL server, in words that never repeat a part of it."""

import re

from psycopg import Error
from psycopg.conninfo import conninfo_to_dict

from adapters.records.addresses import is_cut_short

PORTS = range(1, 65_536)
_UNREADABLE = (
    "cannot be read. Write special characters of the account and the password percent-encoded (%25 for %, %40 for @,"
    " %2F for /), an IPv6 address in brackets, and only options that PostgreSQL has"
)
_PROTOCOLS = frozenset({"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"})
_CHOICES = {
    "sslmode": frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}),
    "gssencmode": frozenset({"disable", "prefer", "require"}),
    "channel_binding": frozenset({"disable", "prefer", "require"}),
    "target_session_attrs": frozenset(
        {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}
    ),
    "load_balance_hosts": frozenset({"disable", "random"}),
    "sslnegotiation": frozenset({"postgres", "direct"}),
    "sslcertmode": frozenset({"disable", "allow", "require"}),
    "ssl_min_protocol_version": _PROTOCOLS,
    "ssl_max_protocol_version": _PROTOCOLS,
}
"""Values that libpq only rejects when it connects, so that they would look like an outage."""

_WHOLE_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}")


def flaw_of(url: str) -> str | None:
    """What to change in the address; None if libpq can read it. Nothing is connected."""
    try:
        parts = conninfo_to_dict(url)
    except (Error, UnicodeError):
        return _UNREADABLE
    # A host that begins with @ is a socket in the abstract namespace.
    hosts = str(parts.get("host", "")).split(",")
    if is_cut_short(url) or any("@" in host[1:] for host in hosts):
        return _UNREADABLE
    if not all(_is_port(port) for port in str(parts.get("port", "")).split(",") if port):
        return (
            f"must have a port from {PORTS[0]} to {PORTS[-1]}. If the port is a part of the password, write / and : of"
            " the password percent-encoded (%2F and %3A)"
        )
    for option, allowed in _CHOICES.items():
        if parts.get(option) and parts[option] not in allowed:
            return f"must have one of these as {option}: {', '.join(sorted(allowed))}"
    for option in _WHOLE_NUMBERS:
        if parts.get(option) and not _WHOLE_NUMBER.fullmatch(str(parts[option])):
            return f"must have a whole number as {option}"
    return None


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(PORTS[-1])) and int(text) in PORTS
