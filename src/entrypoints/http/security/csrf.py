"""Requests that a foreign page makes a browser send: refused where a cookie signs them.

Two checks, each enough against its own kind of attack, both asked for before anything is changed:

- where the browser says where the request comes from (`Sec-Fetch-Site`, `Origin`), it must be one of our own pages;
- the header `X-CSRF-Token` must hold the token of this very session, which stands in a cookie that only our own pages
  can read. The token is a digest of the session's id under a key of ours: nobody can make it, and one that was planted
  or belongs to another session does not count.

A bearer token is never sent by a browser on its own, so calls that carry one need neither.
"""

import base64
import hmac
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from entrypoints.http.protocol.problems import CrossSiteRejected
from entrypoints.http.protocol.request import header

CSRF_HEADER = b"x-csrf-token"
_FOREIGN_PAGE = "This request comes from a page that is not ours."
_NO_TOKEN = "Send the cookie tandem-csrf's value in the header X-CSRF-Token, or use a bearer token instead of cookies."  # noqa: S105


class CrossSiteGuard:
    """Tells requests of our own pages from others. `addresses` are those of our pages beside this service's own."""

    def __init__(self, secret: bytes, *, addresses: Collection[str] = ()) -> None:
        self._secret = secret
        self._origins = frozenset(_origin(address) for address in addresses)

    def token(self, session_id: str) -> str:
        """The CSRF token of a session: the same for all its access tokens, and in every process."""
        digest = hmac.digest(self._secret, session_id.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def require_own_page(self, scope: Mapping[str, Any], session_id: str | None) -> None:
        """Raises CrossSiteRejected unless the request comes from a page of ours and carries the session's token."""
        self._require_no_foreign_page(scope)
        if not self._has_token(scope, session_id):
            raise CrossSiteRejected(_NO_TOKEN)

    def require_own_browser(self, scope: Mapping[str, Any], session_id: str | None) -> None:
        """The same where a session is merely refreshed or ended: a browser that names one of our pages is enough.

        After a change of keys the token in the cookie is out of date, and refreshing is how a page gets another.
        """
        self._require_no_foreign_page(scope)
        is_named = header(scope, b"sec-fetch-site") == b"same-origin" or header(scope, b"origin") is not None
        if not is_named and not self._has_token(scope, session_id):
            raise CrossSiteRejected(_NO_TOKEN)

    def _require_no_foreign_page(self, scope: Mapping[str, Any]) -> None:
        origin = header(scope, b"origin")
        if origin is not None:
            if not self._is_own(scope, origin.decode("latin-1")):
                raise CrossSiteRejected(_FOREIGN_PAGE)
        elif header(scope, b"sec-fetch-site") in (b"cross-site", b"same-site"):
            raise CrossSiteRejected(_FOREIGN_PAGE)

    def _is_own(self, scope: Mapping[str, Any], origin: str) -> bool:
        """Compared with the Host as well: a proxy may hide from us which scheme the browser used."""
        host = (header(scope, b"host") or b"").decode("latin-1").lower()
        return origin in self._origins or (bool(host) and urlsplit(origin).netloc == host)

    def _has_token(self, scope: Mapping[str, Any], session_id: str | None) -> bool:
        shown = header(scope, CSRF_HEADER)
        if shown is None or session_id is None:
            return False
        return hmac.compare_digest(shown, self.token(session_id).encode())


def _origin(address: str) -> str:
    """The origin of an address as browsers write it: in lower case, without the scheme's own port."""
    parts = urlsplit(address.lower())
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, standard) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"
