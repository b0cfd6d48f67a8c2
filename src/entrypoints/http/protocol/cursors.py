"""Pages over HTTP: signed cursors, envelopes, and links to the next page."""

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
from entrypoints.http.protocol.answers import Answer, encoded
from entrypoints.http.protocol.request import RawHeaders, Request
from entrypoints.http.protocol.schemas import ListQuery, PageQuery

SIGNATURE_LENGTH = 16
PAGE_BYTES_MAX = 4 * 1024 * 1024
# Parameters that may differ between the pages of a list, so a cursor is not bound to them.
_UNBOUND = frozenset({"cursor", "limit", "count"})

T = TypeVar("T")


class _SignedPosition(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A position in a cursor. `is_instant` marks instants, because JSON has no type for them."""

    value: str | int | None
    id: str
    is_instant: bool


class Cursors:
    """Encodes positions as opaque text, signed together with the address, filters and order of their list."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, scope: Mapping[str, Any], position: Position) -> str:
        """The cursor of a position in this list."""
        value = position.value
        is_instant = isinstance(value, datetime)
        plain = value.isoformat() if isinstance(value, datetime) else value
        payload = msgspec.json.encode(_SignedPosition(plain, position.id, is_instant))
        return _encoded(self._signature(scope, payload) + payload)

    def read(self, scope: Mapping[str, Any], cursor: str) -> Position:
        """The position. Raises Invalid for a cursor that belongs to another list or was modified."""
        try:
            raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except (ValueError, binascii.Error) as error:
            raise _invalid_cursor() from error
        # The decoder skips characters outside its alphabet, so other texts could decode to the same cursor.
        if _encoded(raw) != cursor:
            raise _invalid_cursor()
        signature, payload = raw[:SIGNATURE_LENGTH], raw[SIGNATURE_LENGTH:]
        if not hmac.compare_digest(signature, self._signature(scope, payload)):
            raise _invalid_cursor()
        found = msgspec.json.decode(payload, type=_SignedPosition)
        value = datetime.fromisoformat(str(found.value)) if found.is_instant else found.value
        return Position(value, found.id)

    def _signature(self, scope: Mapping[str, Any], payload: bytes) -> bytes:
        bound = b"\0".join((scope["path"].encode("utf-8", "replace"), _bound_query(scope), payload))
        return hmac.digest(self._secret, bound, "sha256")[:SIGNATURE_LENGTH]


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _invalid_cursor() -> Invalid:
    violation = Violation(
        "/cursor", "belongs to another list or was modified; request the first page without a cursor"
    )
    return Invalid("The cursor is not valid for this list.", violations=[violation])


def _parameters(scope: Mapping[str, Any]) -> list[tuple[str, str]]:
    raw: bytes = scope["query_string"]
    return parse_qsl(raw.decode("latin-1"), keep_blank_values=True)


def _bound_query(scope: Mapping[str, Any]) -> bytes:
    return urlencode(sorted(pair for pair in _parameters(scope) if pair[0] not in _UNBOUND)).encode()


class Pages:
    """Reads page requests and makes the answers with pages."""

    def __init__(self, cursors: Cursors) -> None:
        self._cursors = cursors

    def request(self, request: Request, query: PageQuery) -> PageRequest:
        """The page that the query requests."""
        after = None if query.cursor is None else self._cursors.read(request.scope, query.cursor)
        sort = _sort_named(query.order)
        if sort is BY_RELEVANCE and after is not None and not isinstance(after.value, int):
            # Issued by an earlier release, which had another default order at this address.
            raise _invalid_cursor()
        return PageRequest(
            limit=query.limit,
            sort=sort,
            after=after,
            with_total=isinstance(query, ListQuery) and query.count == "exact",
        )

    def answer(
        self,
        request: Request,
        page: Page[T],
        view: Callable[[T], object],
        *,
        headers: RawHeaders = (),
    ) -> Answer:
        """The answer with a page and the link to the next one.

        The page ends early if it would be larger than PAGE_BYTES_MAX, but contains at least one item.
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
    """The items as JSON: as many as fit, or all of them if the page has no positions to continue from."""
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
