"""Answers that pages of other origins may read: the protocol of https://fetch.spec.whatwg.org/#http-cors-protocol.

An origin is allowed by name, never by a pattern. Which requests a page may make is the business of `csrf`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from entrypoints.http.protocol.request import header, joined_header
from entrypoints.http.security.csrf import origin_of

PREFLIGHT_SECONDS = 600
"""How long a browser may keep the answer to its question whether it may make a request."""
_VARY = (b"vary", b"origin")
Header = tuple[bytes, bytes]


class CrossOrigin:
    """The headers that let the pages of the allowed origins read answers."""

    def __init__(self, addresses: Collection[str]) -> None:
        """`addresses` are those of pages; what follows their host and port is ignored."""
        self._origins = frozenset(origin_of(address).encode() for address in addresses)

    def headers(self, scope: Mapping[str, Any], answer: Sequence[Header]) -> list[Header]:
        """The headers to add to an answer that has the headers `answer`."""
        if not self._origins:
            return []
        origin = header(scope, b"origin")
        if origin is None or origin not in self._origins:
            return [_VARY]
        added = [
            _VARY,
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
        ]
        if scope["method"] == "OPTIONS" and header(scope, b"access-control-request-method") is not None:
            return [*added, *_preflight_headers(scope, dict(answer))]
        names = dict.fromkeys(name for name, _ in answer)
        return [*added, (b"access-control-expose-headers", b", ".join(names))]


def _preflight_headers(scope: Mapping[str, Any], answer: Mapping[bytes, bytes]) -> list[Header]:
    """The methods that the address accepts, and the headers that the page named: none of ours harms."""
    headers = [(b"access-control-max-age", str(PREFLIGHT_SECONDS).encode())]
    if b"allow" in answer:
        headers.append((b"access-control-allow-methods", answer[b"allow"]))
    named = joined_header(scope, b"access-control-request-headers")
    if named:
        headers.append((b"access-control-allow-headers", named.encode("latin-1")))
    return headers
