"""Decodes bodies and queries: fast if they are valid, otherwise with all violations by their pointers."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Generic, TypeVar, get_args, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from domain.errors import VIOLATIONS_MAX, Violation
from domain.storable import violations_in
from entrypoints.http.protocol.input_errors import instant_violations, invalid, parse, violations_against
from entrypoints.http.protocol.problems import UnsupportedMediaType
from entrypoints.http.protocol.request import Request, joined_header
from entrypoints.http.protocol.schemas import Query

LOOP_BYTES_MAX = 32 * 1024
"""The largest body that is decoded on the event loop; a larger one would block all other requests."""
PARAMETERS_MAX = 50
READERS_MAX = 512
"""More than the number of types of bodies and queries, so each reader is prepared once."""
JSON_TYPE = "application/json"
MERGE_PATCH_TYPE = "application/merge-patch+json"
_NUMBER_LENGTH_MAX = 20
_UTF_8 = frozenset({"charset=utf-8", "charset=utf8"})
# Escapes that may encode NUL or half a surrogate pair; the decoded tree shows whether they do.
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")

S = TypeVar("S", bound=msgspec.Struct)
Q = TypeVar("Q", bound=Query)
R = TypeVar("R")


class BodyReader(Generic[S]):
    """Reads bodies of one type, with a prepared decoder."""

    def __init__(self, kind: type[S]) -> None:
        hints = get_type_hints(kind)
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind)
        self._instants = _fields_holding(kind, datetime, hints)
        names = [field.encode_name for field in msgspec.structs.fields(kind)]
        self._quoted_names = tuple(f'"{name}"'.encode() for name in names)
        # Without nested objects a name that occurs twice in the bytes may be a duplicate key; a field that holds
        # objects is searched if it occurs at all.
        nested = {name for name, hint in hints.items() if _holds_struct(hint)}
        self._nested_names = tuple(
            f'"{field.encode_name}"'.encode()
            for field in msgspec.structs.fields(kind)
            if field.name in nested
        )

    def read(self, raw: bytes, *, violations_max: int = VIOLATIONS_MAX) -> S:
        """The body. Raises Invalid with all violations, `violations_max` at most."""
        try:
            body = self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            tree, repeated = parse(raw)
            raise invalid(
                chain(repeated, violations_against(tree, self._kind)), most=violations_max
            ) from error
        violations = _hidden_violations(raw) if self._is_suspect(raw) else []
        violations += _to_utc(body, self._instants)
        if violations:
            raise invalid(violations, most=violations_max)
        return body

    def _is_suspect(self, raw: bytes) -> bool:
        """Whether the body may have violations that the decoder ignores."""
        if _SUSPECT_ESCAPE.search(raw) or any(name in raw for name in self._nested_names):
            return True
        # A duplicate key occurs twice literally, or contains an escape.
        return b"\\u" in raw or any(raw.count(name) > 1 for name in self._quoted_names)


def _hidden_violations(raw: bytes) -> list[Violation]:
    """Violations that the decoder ignores: duplicate keys, and values that a store cannot hold."""
    tree, repeated = parse(raw)
    return list(islice(chain(repeated, violations_in(tree)), VIOLATIONS_MAX))


class QueryReader(Generic[Q]):
    """Reads the queries of one type."""

    def __init__(self, kind: type[Q]) -> None:
        fields, hints = msgspec.structs.fields(kind), get_type_hints(kind)
        self._kind = kind
        self._names = ", ".join(field.encode_name for field in fields) or "none"
        self._has_required = any(field.required for field in fields)
        self._instants = _fields_holding(kind, datetime, hints)
        self._numbers = {name for _, name in _fields_holding(kind, int, hints)}
        self._flags = {name for _, name in _fields_holding(kind, bool, hints)}

    def read(self, raw: bytes) -> Q:
        """The query. Raises Invalid with all unknown, repeated or invalid parameters."""
        if not raw and not self._has_required:
            return self._kind()
        values, violations = self._values(raw)
        try:
            query = msgspec.convert(values, self._kind)
        except msgspec.ValidationError as error:
            raise invalid([*violations, *self._invalid(values)]) from error
        violations += [*_to_utc(query, self._instants), *query.violations()]
        if violations:
            raise invalid(violations)
        return query

    def _values(self, raw: bytes) -> tuple[dict[str, object], list[Violation]]:
        try:
            pairs = parse_qsl(
                raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
            )
        except ValueError as error:
            message = "the query is not percent-encoded UTF-8, or has too many parameters"
            raise invalid([Violation("/", message)]) from error
        values: dict[str, object] = {}
        violations: list[Violation] = []
        for name, text in pairs:
            if name in values:
                violations.append(Violation(f"/{name}", "is given more than once"))
            values[name] = self._converted(name, text)
        return values, [*violations, *violations_in(values)]

    def _converted(self, name: str, text: str) -> object:
        if name in self._numbers:
            is_number = len(text) <= _NUMBER_LENGTH_MAX and text.isascii() and text.isdecimal()
            return int(text) if is_number else text
        return text == "true" if name in self._flags and text in ("true", "false") else text

    def _invalid(self, values: dict[str, object]) -> Iterator[Violation]:
        unknown = f"is not a known query parameter (known: {self._names})"
        for violation in violations_against(values, self._kind):
            is_unknown = violation.message == "is not a known field"
            yield Violation(violation.pointer, unknown) if is_unknown else violation


@lru_cache(maxsize=READERS_MAX)
def body_reader(kind: type[S]) -> BodyReader[S]:
    """The reader of a type of bodies, created on first use."""
    return BodyReader(kind)


@lru_cache(maxsize=READERS_MAX)
def query_reader(kind: type[Q]) -> QueryReader[Q]:
    """The reader of a type of queries, created on first use."""
    return QueryReader(kind)


def _fields_holding(
    kind: type[msgspec.Struct], value_type: type, hints: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    """The attributes whose values may have the type, each with its name in the input."""
    return tuple(
        (field.name, field.encode_name)
        for field in msgspec.structs.fields(kind)
        if value_type in (hints[field.name], *get_args(hints[field.name]))
    )


def _holds_struct(hint: Any) -> bool:
    is_struct = isinstance(hint, type) and issubclass(hint, msgspec.Struct)
    return is_struct or any(_holds_struct(part) for part in get_args(hint))


def _to_utc(struct: msgspec.Struct, instants: tuple[tuple[str, str], ...]) -> list[Violation]:
    """Converts instants to UTC; returns violations for those that no store can hold."""
    violations: list[Violation] = []
    for attribute, name in instants:
        value = getattr(struct, attribute)
        if isinstance(value, datetime):
            found = list(instant_violations(value, f"/{name}"))
            violations += found
            if not found:
                setattr(struct, attribute, value.astimezone(UTC))
    return violations


async def read_body(
    request: Request, read: Callable[[bytes], R], *, accepted: tuple[str, ...], bytes_max: int
) -> R:
    """The result of `read` for the body. Raises UnsupportedMediaType, BodyTooLarge, and all errors of `read`."""
    require_media_type(request, accepted)
    raw = await request.body(bytes_max)
    return read(raw) if len(raw) <= LOOP_BYTES_MAX else await asyncio.to_thread(read, raw)


def require_media_type(request: Request, accepted: tuple[str, ...]) -> None:
    """Raises UnsupportedMediaType for a body that does not have an accepted type, or is not UTF-8."""
    given = (request.header(b"content-type") or b"").decode("latin-1").lower()
    if given == JSON_TYPE and JSON_TYPE in accepted:
        return
    media_type, *parameters = (part.strip().replace('"', "") for part in given.split(";"))
    charsets = [part for part in parameters if part.startswith("charset=")]
    if media_type not in accepted or any(charset not in _UTF_8 for charset in charsets):
        raise UnsupportedMediaType(f"Send the body as {' or '.join(accepted)}, in UTF-8.")


def require_plain_body(request: Request) -> None:
    """Raises UnsupportedMediaType for a body that is encoded, for example compressed, even if there is no body."""
    if not request.has_header(b"content-encoding"):
        return
    given = joined_header(request.scope, b"content-encoding") or ""
    if {coding.strip().lower() for coding in given.split(",")} != {"identity"}:
        raise UnsupportedMediaType("Send the body as it is, and leave out the header Content-Encoding.")
