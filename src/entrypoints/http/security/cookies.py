"""The session cookies of browsers: their names, and how they are read, set and deleted.

Over HTTPS their names start with `__Host-`: browsers accept such a cookie only from this host, over HTTPS, for all
paths, so neither another host of the domain nor an attacker on the network can set one. Over plain HTTP, as in
development, browsers would reject them, so the names have no prefix; production never reads or sets those.
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
    """Reads and writes session cookies. `always_secure` treats all requests as HTTPS, behind a proxy that ends TLS."""

    def __init__(self, *, always_secure: bool) -> None:
        self._always_secure = always_secure

    def read(self, scope: Scope, name: str) -> str | None:
        """The value of a cookie, None if the browser did not send it."""
        raw = header(scope, b"cookie")
        if raw is None or len(raw) > HEADER_LENGTH_MAX:
            return None
        full_name = self._full_name(scope, name)
        for pair in raw.decode("latin-1").split(";"):
            found, _, value = pair.strip().partition("=")
            if found == full_name and value:
                return value
        return None

    def signed_in(self, scope: Scope, tokens: TokenPair, *, csrf_token: str) -> RawHeaders:
        """The headers that set the tokens, unreadable for scripts, and the CSRF token, which scripts must read."""
        return (
            self._set(scope, ACCESS, tokens.access_token, tokens.expires_in_seconds),
            self._set(scope, REFRESH, tokens.refresh_token, tokens.refresh_expires_in_seconds),
            self._set(scope, CSRF, csrf_token, tokens.refresh_expires_in_seconds, is_readable=True),
        )

    def signed_out(self, scope: Scope) -> RawHeaders:
        """The headers that delete all session cookies."""
        return tuple(self._set(scope, name, "", 0) for name in (ACCESS, REFRESH, CSRF))

    def ticket(self, scope: Scope, value: str, seconds: int) -> RawHeaders:
        """The header that sets the sign-in ticket for this many seconds; 0 deletes it."""
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
