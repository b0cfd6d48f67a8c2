"""Pages over HTTP: cursors that cannot be forged, envelopes, and the link to what follows."""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec

from application.paging import Page, PageRequest, Position, Sort
from domain.errors import Fault, Invalid
from entrypoints.http.queries import ListQuery, PageQuery
from entrypoints.http.rendering import Answer, HttpRequest, RawHeaders, encoded

SIGNATURE_LENGTH = 16
# What may differ between the pages of one list.
_UNBOUND = frozenset({"cursor", "limit", "count"})

T = TypeVar("T")


class _Place(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A position in a cursor; an instant is marked, because JSON knows none."""

    value: str | int | None
    id: str
    is_instant: bool


class Cursors:
    """Positions as opaque text, signed together with the list they belong to: its address, filters and order."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, scope: Mapping[str, Any], position: Position) -> str:
        """The cursor that stands for a position in this very list."""
        value = position.value
        is_instant = isinstance(value, datetime)
        plain = value.isoformat() if isinstance(value, datetime) else value
        payload = msgspec.json.encode(_Place(plain, position.id, is_instant))
        return base64.urlsafe_b64encode(self._signature(scope, payload) + payload).decode().rstrip("=")

    def read(self, scope: Mapping[str, Any], cursor: str) -> Position:
        """The position. Raises Invalid for a cursor of another list, or one that was tampered with."""
        try:
            raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except (ValueError, binascii.Error) as error:
            raise _foreign() from error
        signature, payload = raw[:SIGNATURE_LENGTH], raw[SIGNATURE_LENGTH:]
        if not hmac.compare_digest(signature, self._signature(scope, payload)):
            raise _foreign()
        place = msgspec.json.decode(payload, type=_Place)
        value = datetime.fromisoformat(str(place.value)) if place.is_instant else place.value
        return Position(value, place.id)

    def _signature(self, scope: Mapping[str, Any], payload: bytes) -> bytes:
        bound = b"\0".join((scope["path"].encode("utf-8", "replace"), _bound_query(scope), payload))
        return hmac.digest(self._secret, bound, "sha256")[:SIGNATURE_LENGTH]


def _foreign() -> Invalid:
    fault = Fault("/cursor", "belongs to another list or was changed; start again without it")
    return Invalid("The cursor is not valid here.", faults=[fault])


def _parameters(scope: Mapping[str, Any]) -> list[tuple[str, str]]:
    raw: bytes = scope["query_string"]
    return parse_qsl(raw.decode("latin-1"), keep_blank_values=True)


def _bound_query(scope: Mapping[str, Any]) -> bytes:
    return urlencode(sorted(pair for pair in _parameters(scope) if pair[0] not in _UNBOUND)).encode()


class Pages:
    """Reads page requests and answers pages."""

    def __init__(self, cursors: Cursors) -> None:
        self._cursors = cursors

    def wanted(self, request: HttpRequest, query: PageQuery, *, sort: str) -> PageRequest:
        """The page that the query asks for, in the order `field` or `-field`."""
        after = None if query.cursor is None else self._cursors.read(request.scope, query.cursor)
        return PageRequest(
            limit=query.limit,
            sort=Sort(sort.removeprefix("-"), descending=sort.startswith("-")),
            after=after,
            with_total=isinstance(query, ListQuery) and query.count == "exact",
        )

    def answer(
        self,
        request: HttpRequest,
        page: Page[T],
        view: Callable[[T], object],
        *,
        headers: RawHeaders = (),
    ) -> Answer:
        """The envelope of a page and the link to the next one."""
        body: dict[str, object] = {"items": [view(item) for item in page.items], "nextCursor": None}
        if page.next is not None:
            cursor = self._cursors.issue(request.scope, page.next)
            body["nextCursor"] = cursor
            headers = (*headers, (b"link", _next_link(request.scope, cursor)))
        if page.total is not None:
            body["total"] = page.total
        return Answer(encoded(body), headers=headers)


def _next_link(scope: Mapping[str, Any], cursor: str) -> bytes:
    kept = [pair for pair in _parameters(scope) if pair[0] != "cursor"]
    path = scope["path"]
    return f'<{path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'.encode()
