"""Protection against cross-site request forgery, for requests that are authenticated by a cookie.

Two checks, both made before anything is changed:

- if the browser states the origin of the request (`Sec-Fetch-Site`, `Origin`), it must be one of this service's pages;
- the header `X-CSRF-Token` must contain the CSRF token of the session, from a cookie that only this service's pages can
  read. The token is a keyed digest of the session's id, so an attacker can neither compute it nor use that of another
  session.

Browsers never send bearer tokens automatically, so requests with a bearer token need neither check.
"""

import base64
import hmac
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from entrypoints.http.protocol.problems import CrossSiteRejected
from entrypoints.http.protocol.request import header

CSRF_HEADER = b"x-csrf-token"
_FOREIGN_PAGE = "This request comes from another site; use a page of this service, or a bearer token."
_NO_TOKEN = "Send the value of the cookie tandem-csrf in the header X-CSRF-Token, or use a bearer token."  # noqa: S105


class CrossSiteGuard:
    """Distinguishes requests of the service's own pages from others. `addresses` are those of more own pages."""

    def __init__(self, secret: bytes, *, addresses: Collection[str] = ()) -> None:
        self._secret = secret
        self._origins = frozenset(origin_of(address) for address in addresses)

    def token(self, session_id: str) -> str:
        """The CSRF token of a session, the same for all its access tokens and in every process."""
        digest = hmac.digest(self._secret, session_id.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def require_own_page(self, scope: Mapping[str, Any], session_id: str | None) -> None:
        """Raises CrossSiteRejected unless the request comes from an own page and has the session's CSRF token."""
        self.require_no_foreign_page(scope)
        if not self._has_token(scope, session_id):
            raise CrossSiteRejected(_NO_TOKEN)

    def require_own_browser(self, scope: Mapping[str, Any], session_id: str | None) -> None:
        """Raises CrossSiteRejected unless the browser names an own page or the request has the session's CSRF token.

        For refreshing or ending a session: after a change of keys the token in the cookie is invalid, and a page gets a
        new one by refreshing.
        """
        self.require_no_foreign_page(scope)
        is_named = header(scope, b"sec-fetch-site") == b"same-origin" or header(scope, b"origin") is not None
        if not is_named and not self._has_token(scope, session_id):
            raise CrossSiteRejected(_NO_TOKEN)

    def require_no_foreign_page(self, scope: Mapping[str, Any]) -> None:
        """Raises CrossSiteRejected if the browser names another site as the origin of the request."""
        origin = header(scope, b"origin")
        if origin is not None:
            if not self._is_own(scope, origin.decode("latin-1")):
                raise CrossSiteRejected(_FOREIGN_PAGE)
        elif header(scope, b"sec-fetch-site") in (b"cross-site", b"same-site"):
            raise CrossSiteRejected(_FOREIGN_PAGE)

    def _is_own(self, scope: Mapping[str, Any], origin: str) -> bool:
        """Whether the origin is an own one. Host is compared as well, since a proxy may hide the browser's scheme.

        The origin is compared as text: a browser writes scheme and host only, and a client may send no address at all.
        """
        host = (header(scope, b"host") or b"").decode("latin-1").lower()
        return origin in self._origins or (bool(host) and origin.partition("://")[2] == host)

    def _has_token(self, scope: Mapping[str, Any], session_id: str | None) -> bool:
        shown = header(scope, CSRF_HEADER)
        if shown is None or session_id is None:
            return False
        return hmac.compare_digest(shown, self.token(session_id).encode())


def origin_of(address: str) -> str:
    """The origin of an address as browsers write it: in lower case, without the default port of the scheme."""
    parts = urlsplit(address.lower())
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, standard) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"
