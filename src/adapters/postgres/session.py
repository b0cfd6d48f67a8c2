"""The settings of every session. A role, a database, the environment and a pooler can each set them otherwise, so they
are set by statement and read back.

Nothing of ours is in the startup packet besides the encoding: poolers drop or refuse the rest of it.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable

IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000
KEEPALIVE_IDLE_SECONDS = 10
KEEPALIVE_INTERVAL_SECONDS = 5
KEEPALIVES_MAX = 3
SEARCH_PATH = "search_path"
DEFAULT_SEARCH_PATH = "public, pg_temp"
"""Where the tables are unless `options` in the address name another path. Temporary tables come last, since another
client of a pooler may have created some.
"""
_ENCODING = ("client_encoding", "UTF8")
_CONSTANT = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "iso_8601",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    # A policy would hide rows without a word; so PostgreSQL refuses each statement that one applies to.
    "row_security": "off",
    "gin_fuzzy_search_limit": "0",  # any other value makes searches return a random part of what they find
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # Tells our own changes from those of other programs, which a trigger counts.
    "tandem.writer": "on",
}
_MARK = "tandem.server_process"
_OVERRIDDEN = "tandem.read_only_overridden"
_MARKED = f"set_config('{_MARK}', pg_backend_pid()::text, false)"
IS_KEPT = f"SELECT current_setting('{_MARK}', true) IS NOT DISTINCT FROM pg_backend_pid()::text"  # noqa: S608 - constant
"""Whether a session that was set before is the same one, with its settings."""
_UNBOUNDED = ("transaction_timeout", "idle_session_timeout")
"""Timeouts that nothing here needs. PostgreSQL 17 brought the first, 14 the second."""
_OVERRIDABLE_SOURCES = ("global", "database", "user", "database user", "client", "override", "session")
"""Where a default of read-only belongs to a session. Elsewhere it says that the server takes no writes at present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """The limits in a session, in milliseconds; 0 for none."""

    statement_ms: int
    lock_ms: int
    idle_in_transaction_ms: int = IDLE_IN_TRANSACTION_TIMEOUT_MS

    def by_name(self) -> dict[str, int]:
        """The limits by the name of their setting."""
        return {
            "statement_timeout": self.statement_ms,
            "lock_timeout": self.lock_ms,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_ms,
        }


@dataclass(frozen=True)
class Session:
    """What a session must be set to."""

    limits: TimeLimits
    search_path: str

    @classmethod
    def of(cls, url: str, limits: TimeLimits) -> "Session":
        """The session for an address, whose `options` may name the schema of the tables."""
        options = str(conninfo_to_dict(_plain(url)).get("options") or "")
        return cls(limits, named_options(options).get(SEARCH_PATH, DEFAULT_SEARCH_PATH))

    @cached_property
    def setting(self) -> str:
        """Sets the session. Its last row is `read_back`'s."""
        # On its own and first: the settings of the role may leave no time for more.
        first = f"SET statement_timeout = {self.limits.statement_ms}"
        return (
            f"{first}; SELECT {_MARKED}::integer, {_read_only()}, {', '.join(self._settings(is_local=False))}"
        )

    @cached_property
    def repeated(self) -> str:
        """Sets the session again, as one statement."""
        return f"SELECT {_read_only()}, {', '.join(self._settings(is_local=False))}"

    @cached_property
    def for_transaction(self) -> str:
        """Sets the running transaction. The encoding stays, because the driver encodes before the server answers."""
        return f"SELECT {', '.join(self._settings(is_local=True))}"

    def read_back(self, row: Sequence[Any]) -> "SessionFacts":
        """What the row of `setting` says. Raises StoreUnavailable where the server did not take over a setting."""
        server_process, read_only, *kept = row
        lost = [name for name, is_kept in zip(self._names(), kept, strict=True) if is_kept is False]
        if lost:
            raise StoreUnavailable(
                f"PostgreSQL, or a pooler before it, does not keep these settings of a session: {', '.join(lost)}."
            )
        return SessionFacts(server_process=server_process, was_read_only=read_only is not None)

    def _names(self) -> list[str]:
        return [
            _ENCODING[0],
            "synchronous_commit",
            *_CONSTANT,
            SEARCH_PATH,
            *self.limits.by_name(),
            *_UNBOUNDED,
        ]

    def _settings(self, *, is_local: bool) -> Iterator[str]:
        """An expression for each name, true where the setting was taken over."""
        yield _set(*_ENCODING, is_local=False)
        # The stronger setting of an operator stays.
        durable = (
            "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END"
        )
        yield f"set_config('synchronous_commit', {durable}, {is_local}) IN ('on', 'remote_apply')"
        for name, value in {**_CONSTANT, SEARCH_PATH: self.search_path}.items():
            yield _set(name, value, is_local=is_local)
        for name, limit_ms in self.limits.by_name().items():
            yield f"set_config('{name}', '{limit_ms}', {is_local})::interval = interval '{limit_ms} ms'"
        for name in _UNBOUNDED:
            unset = f"current_setting('{name}', true) IS NOT NULL"
            yield f"CASE WHEN {unset} THEN set_config('{name}', '0', {is_local}) = '0' END"


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What a session says about itself: its server process, and whether only its own defaults made it read-only."""

    server_process: int
    was_read_only: bool


def conninfo_of(url: str, *, connect_timeout_ms: int) -> str:
    """The address with everything spelled out that libpq would otherwise take from the environment.

    `options` in the address itself stay.
    """
    given = conninfo_to_dict(_plain(url))
    silence_ms = (KEEPALIVE_IDLE_SECONDS + KEEPALIVES_MAX * KEEPALIVE_INTERVAL_SECONDS) * 1_000
    parts: dict[str, str | int | None] = {
        "application_name": "tandem",
        "target_session_attrs": "any",
        "options": "",
        **given,
        "client_encoding": _ENCODING[1],
        "connect_timeout": math.ceil(connect_timeout_ms / 1_000),
        "keepalives": 1,
        "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "keepalives_count": KEEPALIVES_MAX,
        "tcp_user_timeout": silence_ms,
    }
    return make_conninfo("", **parts)


def named_options(options: str) -> dict[str, str]:
    """The settings in `options` of an address by their name: `-c name=value`, `-cname=value`, `--name=value`.

    A backslash before a space keeps it in its value, as the server reads it.
    """
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\s\\])+", options)]
    named = {}
    for place, word in enumerate(words):
        if word == "-c":
            setting = "".join(words[place + 1 : place + 2])
        elif word.startswith(("-c", "--")):
            setting = word[2:]
        else:
            continue
        name, _, value = setting.partition("=")
        named[name.replace("-", "_").lower()] = value
    return named


def refused_schema(search_path: str) -> StoreRefused:
    """The error where the role may not create tables, or where the schema is missing."""
    return StoreRefused(
        f"The role of POSTGRES_URL cannot create tables in the schema ({search_path}). Grant it CREATE on the schema, "
        "or let POSTGRES_URL name a schema that belongs to it: add ?options=-csearch_path%3DSCHEMA to the address."
    )


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _set(name: str, value: str, *, is_local: bool) -> str:
    literal = _literal(value)
    return f"set_config('{name}', {literal}, {is_local}) = {literal}"


def _literal(text: str) -> str:
    """A literal that reads the same whatever `standard_conforming_strings` says."""
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{doubled}'"


def _read_only() -> str:
    """Lets a session write that its role, its database or the address made read-only: null where nothing did.

    The session notes it, for others who get it from a pooler and begin in one that nobody has set yet.
    """
    is_noted = f"current_setting('{_OVERRIDDEN}', true) = 'on'"
    is_on = "current_setting('default_transaction_read_only') = 'on'"
    source = "(SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only')"
    off = "set_config('default_transaction_read_only', 'off', false)"
    noted = f"set_config('{_OVERRIDDEN}', 'on', false)"
    return f"CASE WHEN {is_noted} OR {is_on} AND {source} IN {_OVERRIDABLE_SOURCES} THEN {noted} || {off} END"
