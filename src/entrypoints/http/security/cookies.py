"""The cookies that sign a browser in: their names, how they are read, set and taken away.

Over HTTPS their names start with `__Host-`: browsers take such a cookie only from this very host, over HTTPS, for all
paths, so neither a neighbour in the domain nor somebody on the wire can plant one. Over plain HTTP, as in
development, no browser would keep them, so there they have plain names; production never reads or sets those.
"""

from application.ports.tokens import TokenPair
from entrypoints.http.protocol.request import RawHeaders, Scope, header

ACCESS = "tandem-access"
REFRESH = "tandem-refresh"
CSRF = "tandem-csrf"
TICKET = "tandem-sign-in"
HEADER_LENGTH_MAX = 16 * 1024
_SECURE_PREFIX = "__Host-"


class SessionCookies:
    """Reads and writes them. `always_secure`: also where a proxy in front has taken the HTTPS off."""

    def __init__(self, *, always_secure: bool) -> None:
        self._always_secure = always_secure

    def read(self, scope: Scope, name: str) -> str | None:
        """The value of one of our cookies, None where the browser sent none."""
        raw = header(scope, b"cookie")
        if raw is None or len(raw) > HEADER_LENGTH_MAX:
            return None
        wanted = self._full_name(scope, name)
        for pair in raw.decode("latin-1").split(";"):
            found, _, value = pair.strip().partition("=")
            if found == wanted and value:
                return value
        return None

    def signed_in(self, scope: Scope, tokens: TokenPair, *, csrf_token: str) -> RawHeaders:
        """Sets the tokens, out of reach of scripts, and beside them the CSRF token, which scripts must read."""
        return (
            self._set(scope, ACCESS, tokens.access_token, tokens.expires_in_seconds),
            self._set(scope, REFRESH, tokens.refresh_token, tokens.refresh_expires_in_seconds),
            self._set(scope, CSRF, csrf_token, tokens.refresh_expires_in_seconds, is_readable=True),
        )

    def signed_out(self, scope: Scope) -> RawHeaders:
        """Takes everything away."""
        return tuple(self._set(scope, name, "", 0) for name in (ACCESS, REFRESH, CSRF))

    def ticket(self, scope: Scope, value: str, seconds: int) -> RawHeaders:
        """Sets what the browser must bring back from the identity provider; no seconds take it away."""
        return (self._set(scope, TICKET, value, seconds),)

    def _set(
        self,
        scope: Scope,
        name: str,
        value: str,
        seconds: int,
        *,
        is_readable: bool = False,
    ) -> tuple[bytes, bytes]:
        parts = [f"{self._full_name(scope, name)}={value}", "Path=/", f"Max-Age={seconds}", "SameSite=Lax"]
        parts += ["Secure"] if self._is_secure(scope) else []
        parts += [] if is_readable else ["HttpOnly"]
        return b"set-cookie", "; ".join(parts).encode("ascii")

    def _full_name(self, scope: Scope, name: str) -> str:
        return f"{_SECURE_PREFIX}{name}" if self._is_secure(scope) else name

    def _is_secure(self, scope: Scope) -> bool:
        return self._always_secure or scope.get("scheme") == "https"
