"""The client behind a trusted proxy."""

from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from entrypoints.http.protocol.request import header, joined_header, plain_address

HOPS_MAX = 32
"""How many addresses of X-Forwarded-For are looked at, from its end."""
PEERS_MAX = 1_024

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class TrustedProxies:
    """The proxies in these networks. They append the address of their client to X-Forwarded-For, so the last address
    there that is not a proxy is the client; addresses before it are only what that client claims.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self.trusts = lru_cache(maxsize=PEERS_MAX)(self._trusts)

    def apply(self, scope: MutableMapping[str, Any]) -> None:
        """Replaces client and scheme of a request that a trusted proxy forwards; others keep those of their
        connection.
        """
        client = scope.get("client")
        if client is None or not self.trusts(client[0]):
            return
        forwarded = joined_header(scope, b"x-forwarded-for")
        if forwarded is not None:
            scope["client"] = (self._client(forwarded, client[0]), 0)
        scheme = header(scope, b"x-forwarded-proto")
        if scheme in (b"http", b"https"):
            scope["scheme"] = scheme.decode("ascii")

    def _client(self, forwarded: str, peer: str) -> str:
        """The right-most address that is not a trusted proxy; the last proxy before a text that is no address."""
        found = peer
        for text in reversed(forwarded.rsplit(",", HOPS_MAX)[-HOPS_MAX:]):
            address = _address(text.strip())
            if address is None:
                return found
            found = str(address)
            if not self.trusts(found):
                return found
        return found

    def _trusts(self, peer: str) -> bool:
        address = plain_address(peer)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """The address of an entry, which may have a port: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return plain_address(text)
