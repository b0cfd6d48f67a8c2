"""Bytes to bodies: one decode when all is well, every violation by its pointer when not."""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import msgspec

from domain.errors import VIOLATIONS_MAX, Violation
from domain.storable import violations_in
from entrypoints.http.bodies import TimelineBody, TimelinePatch
from entrypoints.http.exchange import header
from entrypoints.http.faults import instant_violations, violations_against
from entrypoints.http.json_tree import parse, refusal
from entrypoints.http.refusals import UnsupportedMediaType
from entrypoints.http.rendering import HttpRequest

BODY_BYTES_MAX = 1024 * 1024
LOOP_BYTES_MAX = 32 * 1024
"""The largest body that is read on the event loop; a larger one would make all others wait."""
JSON_TYPE = "application/json"
MERGE_PATCH_TYPE = "application/merge-patch+json"

B = TypeVar("B", bound=msgspec.Struct)
R = TypeVar("R")

# Escapes that may stand for NUL or half a surrogate pair; whether they do is seen in the tree.
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


@dataclass(frozen=True, slots=True)
class BodyReader(Generic[B]):
    """Everything prepared for one kind of body. `is_flat` where a field's name cannot honestly stand there twice."""

    kind: type[B]
    decoder: msgspec.json.Decoder[B]
    instants: tuple[tuple[str, str], ...]
    quoted_names: tuple[bytes, ...]
    is_flat: bool

    def read(self, raw: bytes, *, violations_max: int = VIOLATIONS_MAX) -> B:
        """The body. Raises Invalid with every violation, or as many as are asked for."""
        try:
            body = self.decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            tree, doubled = parse(raw)
            raise refusal(chain(doubled, violations_against(tree, self.kind)), most=violations_max) from error
        violations = _hidden_violations(raw) if self._is_suspect(raw) else []
        if self.instants:
            violations += self._settle_instants(body)
        if violations:
            raise refusal(violations, most=violations_max)
        return body

    def _is_suspect(self, raw: bytes) -> bool:
        """Whether something may be wrong that the decoder lets pass; where true, only the tree can tell."""
        if not self.is_flat or _SUSPECT_ESCAPE.search(raw):
            return True
        # A doubled key stands there twice as it is spelt, or once behind an escape.
        return b"\\u" in raw or any(raw.count(name) > 1 for name in self.quoted_names)

    def _settle_instants(self, body: B) -> Iterator[Violation]:
        """Puts instants into UTC; yields a violation for each that cannot be kept as it is."""
        for name, pointer in self.instants:
            value = getattr(body, name)
            if isinstance(value, datetime):
                violations = list(instant_violations(value, pointer))
                yield from violations
                if not violations:
                    setattr(body, name, value.astimezone(UTC))


def _hidden_violations(raw: bytes) -> list[Violation]:
    """What is wrong with a body that the decoder let pass. It has the shape of its kind, so its tree is no larger."""
    tree, doubled = parse(raw)
    return list(islice(chain(doubled, violations_in(tree)), VIOLATIONS_MAX))


_READERS: dict[type[msgspec.Struct], BodyReader[Any]] = {}


def reader_of(kind: type[B]) -> BodyReader[B]:
    """The reader of a kind of body, prepared once."""
    if kind not in _READERS:
        fields = msgspec.structs.fields(kind)
        hints = get_type_hints(kind)
        _READERS[kind] = BodyReader(
            kind=kind,
            decoder=msgspec.json.Decoder(kind),
            instants=tuple(
                (field.name, f"/{field.encode_name}") for field in fields if _holds_instant(hints[field.name])
            ),
            quoted_names=tuple(f'"{field.encode_name}"'.encode() for field in fields),
            is_flat=kind not in (TimelineBody, TimelinePatch),
        )
    return _READERS[kind]


def _holds_instant(hint: Any) -> bool:
    return datetime in (hint, *get_args(hint))


async def read_body(request: HttpRequest, kind: type[B]) -> B:
    """The body of a request. Raises UnsupportedMediaType, or Invalid with every violation."""
    return await read_with(request, reader_of(kind).read)


async def read_patch(request: HttpRequest, kind: type[B]) -> B:
    """The body of a PATCH: a JSON merge patch (RFC 7396), its absent fields UNSET."""
    return await read_with(request, reader_of(kind).read, accepted=(MERGE_PATCH_TYPE, JSON_TYPE))


async def read_file(request: HttpRequest, media_types: tuple[str, ...]) -> bytes:
    """A body that is a file, as it came. Raises UnsupportedMediaType for anything but these."""
    _require_media_type(request, media_types)
    return await request.body()


async def read_with(
    request: HttpRequest, read: Callable[[bytes], R], *, accepted: tuple[str, ...] = (JSON_TYPE,)
) -> R:
    """What `read` makes of the body, where it is of an accepted type. Raises UnsupportedMediaType."""
    _require_media_type(request, accepted)
    raw = await request.body()
    return read(raw) if len(raw) <= LOOP_BYTES_MAX else await asyncio.to_thread(read, raw)


def _require_media_type(request: HttpRequest, accepted: tuple[str, ...]) -> None:
    given = (header(request.scope, b"content-type") or b"").decode("latin-1").lower()
    if given == JSON_TYPE and JSON_TYPE in accepted:
        return
    media_type, *parameters = (part.strip().replace('"', "") for part in given.split(";"))
    charsets = [part for part in parameters if part.startswith("charset=")]
    if media_type not in accepted or any(charset not in _UTF_8 for charset in charsets):
        raise UnsupportedMediaType(f"Send the body as {' or '.join(accepted)}, in UTF-8.")


_UTF_8 = frozenset({"charset=utf-8", "charset=utf8"})
