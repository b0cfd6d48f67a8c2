"""Pages over HTTP: cursors that cannot be forged, envelopes, and the link to what follows."""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec

from application.paging import BY_RELEVANCE, Page, PageRequest, Position, Sort
from domain.errors import Invalid, Violation
from entrypoints.http.queries import ListQuery, PageQuery
from entrypoints.http.rendering import Answer, HttpRequest, RawHeaders, encoded

SIGNATURE_LENGTH = 16
PAGE_BYTES_MAX = 4 * 1024 * 1024
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
        return _spelt(self._signature(scope, payload) + payload)

    def read(self, scope: Mapping[str, Any], cursor: str) -> Position:
        """The position. Raises Invalid for a cursor of another list, or one that was tampered with."""
        try:
            raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except (ValueError, binascii.Error) as error:
            raise _foreign() from error
        # The decoder skips what is outside its alphabet: a cursor has one spelling.
        if _spelt(raw) != cursor:
            raise _foreign()
        signature, payload = raw[:SIGNATURE_LENGTH], raw[SIGNATURE_LENGTH:]
        if not hmac.compare_digest(signature, self._signature(scope, payload)):
            raise _foreign()
        place = msgspec.json.decode(payload, type=_Place)
        value = datetime.fromisoformat(str(place.value)) if place.is_instant else place.value
        return Position(value, place.id)

    def _signature(self, scope: Mapping[str, Any], payload: bytes) -> bytes:
        bound = b"\0".join((scope["path"].encode("utf-8", "replace"), _bound_query(scope), payload))
        return hmac.digest(self._secret, bound, "sha256")[:SIGNATURE_LENGTH]


def _spelt(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _foreign() -> Invalid:
    violation = Violation("/cursor", "belongs to another list or was changed; start again without it")
    return Invalid("The cursor is not valid here.", violations=[violation])


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
        """The page that the query asks for, in the order `field`, `-field` or `relevance`."""
        after = None if query.cursor is None else self._cursors.read(request.scope, query.cursor)
        wanted_sort = _sort_named(sort)
        if wanted_sort is BY_RELEVANCE and after is not None and not isinstance(after.value, int):
            # Issued by a release in which the same address meant another order.
            raise _foreign()
        return PageRequest(
            limit=query.limit,
            sort=wanted_sort,
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
        """The envelope of a page and the link to the next one.

        The page ends early, though never before its first item, where more would be larger than PAGE_BYTES_MAX.
        """
        items = _fitting(page, view)
        is_whole = len(items) == len(page.items)
        following = page.next if is_whole else page.positions[len(items) - 1]
        body: dict[str, object] = {"items": items, "nextCursor": None}
        if following is not None:
            cursor = self._cursors.issue(request.scope, following)
            body["nextCursor"] = cursor
            headers = (*headers, (b"link", _next_link(request.scope, cursor)))
        if page.total is not None:
            body["total"] = page.total
        return Answer(encoded(body), headers=headers)


def _fitting(page: Page[T], view: Callable[[T], object]) -> list[msgspec.Raw]:
    """The items as JSON: as many as fit, or all where the page cannot be continued within."""
    items: list[msgspec.Raw] = []
    left = PAGE_BYTES_MAX
    for item in page.items:
        rendered = encoded(view(item))
        left -= len(rendered)
        if left < 0 and items and page.positions:
            break
        items.append(msgspec.Raw(rendered))
    return items


def _sort_named(name: str) -> Sort:
    if name == BY_RELEVANCE.field:
        return BY_RELEVANCE
    return Sort(name.removeprefix("-"), descending=name.startswith("-"))


def _next_link(scope: Mapping[str, Any], cursor: str) -> bytes:
    kept = [pair for pair in _parameters(scope) if pair[0] != "cursor"]
    path = scope["path"]
    return f'<{path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'.encode()
