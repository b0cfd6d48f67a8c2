"""Compressed responses (RFC 9110, sections 8.4 and 12.5.3): gzip, for clients that accept it."""

import asyncio
import re
import zlib
from functools import lru_cache

PLAIN_BYTES_MAX = 1024
"""The largest body that is always sent as it is."""
LOOP_BYTES_MAX = 32 * 1024
"""The largest body that is compressed on the event loop."""
LEVEL = 4
"""Measured on lists of tasks: a tenth larger than level 6, in half the time."""
HEADERS_REMEMBERED_MAX = 256
VARY = (b"vary", b"accept-encoding")
TAG_SUFFIX = b"-gz"
_GZIP_WINDOW = zlib.MAX_WBITS | 16
_QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_TYPES = (
    b"application/json",
    b"application/problem+json",
    b"application/x-ndjson",
    b"text/",
    b"image/svg+xml",
)


@lru_cache(maxsize=HEADERS_REMEMBERED_MAX)
def accepts_gzip(header: str) -> bool:
    """Whether a header Accept-Encoding allows gzip and does not prefer the plain form."""
    qualities: dict[str, float] = {}
    for member in header.lower().split(","):
        coding, *parameters = (part.strip() for part in member.split(";"))
        quality = _quality(parameters)
        if coding and quality is not None:
            qualities.setdefault("gzip" if coding == "x-gzip" else coding, quality)
    gzip = qualities.get("gzip", qualities.get("*", 0.0))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _quality(parameters: list[str]) -> float | None:
    """The weight of a coding; None if it is malformed."""
    if not parameters:
        return 1.0
    match = _QUALITY.fullmatch(parameters[0])
    return float(match[1]) if match is not None and len(parameters) == 1 else None


def is_compressible(status: int, headers: dict[bytes, bytes]) -> bool:
    """Whether a response is compressed for clients that accept it; it has Content-Length, names are in lower case."""
    return (
        int(headers[b"content-length"]) > PLAIN_BYTES_MAX
        and headers.get(b"content-type", b"").startswith(_TYPES)
        and b"content-encoding" not in headers
        and status not in (204, 304)
    )


async def compressed(body: bytes) -> bytes:
    """The body in the format gzip."""
    return _gzip(body) if len(body) <= LOOP_BYTES_MAX else await asyncio.to_thread(_gzip, body)


def headers_of_compressed(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """The headers of a response whose body was compressed to this length; its entity tag ends in `-gz`."""
    replaced = {b"content-length": b"%d" % length}
    for name, value in headers:
        if name == b"etag" and value.endswith(b'"'):
            replaced[name] = value[:-1] + TAG_SUFFIX + b'"'
    return [*((name, replaced.get(name, value)) for name, value in headers), (b"content-encoding", b"gzip")]


def _gzip(body: bytes) -> bytes:
    writer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return writer.compress(body) + writer.flush()
