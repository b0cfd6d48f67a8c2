"""An HTTP request: headers, body, caller."""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Protocol

from application.actor import Actor
from application.ports.tokens import Identity
from domain.errors import TandemError
from entrypoints.http.protocol.problems import BodyTooLarge, ClientDisconnected

BODY_BYTES_MAX = 1024 * 1024
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UNMATCHED = "unmatched"
REJECTION = "tandem.rejection"
"""The key in a scope of the error that the connection found, such as headers that are too large."""
DISCONNECTED = "tandem.disconnected"
"""The key in a scope that is set once the client has closed the connection."""
KEYS_MAX = 4_096
_IPV6_SUBSCRIBER_BITS = 64
_CURRENT: ContextVar["Request"] = ContextVar("request")

Scope = Mapping[str, Any]
RawHeaders = tuple[tuple[bytes, bytes], ...]


class CallerReader(Protocol):
    """Identifies the caller of a request."""

    async def actor(self, request: "Request") -> Actor:
        """The signed-in caller, with present rights. Raises Unauthenticated, CrossSiteRejected, Forbidden."""

    def caller(self, request: "Request") -> str:
        """The rate-limit key of this caller."""


class Request:
    """One request. `identity` is set once its token has been verified; `rate_headers` and `token_headers` are sent with
    the answer. `method` of a HEAD request is GET, whose handler answers it.
    """

    __slots__ = (
        "_authentication",
        "_body",
        "_names",
        "_receive",
        "identity",
        "method",
        "path",
        "rate_headers",
        "request_id",
        "scope",
        "token_headers",
    )

    def __init__(self, scope: Any, receive: Any, *, request_id: str, authentication: CallerReader) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.request_id = request_id
        self.identity: Identity | None = None
        self.rate_headers: RawHeaders = ()
        self.token_headers: RawHeaders = ()
        self._authentication = authentication
        self._receive = receive
        self._body: bytes | None = None
        self._names: Mapping[bytes, bytes] | None = None

    @property
    def query_string(self) -> bytes:
        """The query, still percent-encoded."""
        query: bytes = self.scope["query_string"]
        return query

    @property
    def path_parameters(self) -> dict[str, str]:
        """The variable parts of the path."""
        parameters: dict[str, str] = self.scope.get("path_params", {})
        return parameters

    @property
    def route(self) -> str:
        """The template of the matched path, the same for every id; `unmatched` for an unknown address."""
        template: str = self.scope.get("path_template", UNMATCHED)
        return template

    @property
    def client_address(self) -> str:
        """The client's network address as a rate-limit key: of an IPv6 address its network of 64 bits."""
        client = self.scope.get("client")
        return f"address {limit_key(client[0])}" if client else "address unknown"

    @property
    def network_address(self) -> str | None:
        """The client's network address; None for a local socket."""
        client: tuple[str, int] | None = self.scope.get("client")
        return client[0] if client else None

    async def actor(self) -> Actor:
        """The signed-in caller, with present rights. Raises Unauthenticated, CrossSiteRejected, Forbidden."""
        return await self._authentication.actor(self)

    def caller(self) -> str:
        """The rate-limit key of this caller."""
        return self._authentication.caller(self)

    def has_header(self, name: bytes) -> bool:
        """Whether there is a header with this lower-case name. Made for headers that most requests do not have."""
        if self._names is None:
            self._names = dict(self.scope["headers"])
        return name in self._names

    def header(self, name: bytes) -> bytes | None:
        """The first header with this lower-case name."""
        return header(self.scope, name)

    async def body(self, bytes_max: int = BODY_BYTES_MAX) -> bytes:
        """The whole body, read once. Raises BodyTooLarge, ClientDisconnected before its end, or the error that the
        connection found in it.
        """
        if self._body is None:
            self._body = await self._read(bytes_max)
        return self._body

    async def _read(self, bytes_max: int) -> bytes:
        announced = self.header(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > bytes_max:
            raise BodyTooLarge.than(bytes_max)
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            rejection: TandemError | None = self.scope.get(REJECTION)
            if rejection is not None:
                raise rejection
            part = message.get("body", b"")
            size += len(part)
            if size > bytes_max:
                raise BodyTooLarge.than(bytes_max)
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


def plain_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in the text, an IPv4 address also where it is mapped into IPv6; None for anything else."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=KEYS_MAX)
def limit_key(address: str) -> str:
    """The address by which a client is limited: subscribers get whole IPv6 networks, not single addresses."""
    plain = plain_address(address)
    if isinstance(plain, IPv6Address):
        return str(ip_network((plain, _IPV6_SUBSCRIBER_BITS), strict=False))
    return address if plain is None else str(plain)


def enter(request: Request) -> Token[Request]:
    """Makes a request the current one of this task until `leave`."""
    return _CURRENT.set(request)


def leave(entered: Token[Request]) -> None:
    """Restores the current request from before `enter`."""
    _CURRENT.reset(entered)


def current_request() -> Request | None:
    """The current request of this task; None outside requests."""
    return _CURRENT.get(None)


def required_request() -> Request:
    """The current request of this task. Raises LookupError outside requests."""
    return _CURRENT.get()


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header with this lower-case name."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for candidate, value in headers:
        if candidate == name:
            return value
    return None


def joined_header(scope: Scope, name: bytes) -> str | None:
    """All headers of this name joined into one list, as RFC 9110 defines for repeated fields; None without any."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    values = [value for candidate, value in headers if candidate == name]
    return b", ".join(values).decode("latin-1") if values else None
