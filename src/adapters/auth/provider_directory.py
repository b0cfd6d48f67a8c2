"""The configuration of an OpenID provider: its addresses and public keys, cached for an hour."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from adapters.auth.keys import KEY_BITS_MIN
from adapters.auth.provider_client import ProviderClient
from application.ports.sign_in import SignInFailed, SignInFailure

DIRECTORY_SECONDS = 60 * 60.0
KEYS_SECONDS = 60 * 60.0
KEYS_PAUSE_SECONDS = 10.0
"""The pause before the keys are read again for an unknown key id."""
KEYS_MAX = 32
FAILURE_SECONDS = 1.0
"""The pause after a failed request: all callers that waited for the same answer share the failure."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The provider's endpoints (OpenID Connect Discovery)."""

    authorization: str
    token: str
    keys: str


class ProviderDirectory:
    """Addresses and keys of one issuer, read when first needed and again after an hour.

    An unknown key is looked up at once, because providers change keys at any time.
    """

    def __init__(
        self, issuer: str, client: ProviderClient, *, failure_seconds: float = FAILURE_SECONDS
    ) -> None:
        self._issuer = issuer
        self._client = client
        self._failure_seconds = failure_seconds
        self._addresses: Addresses | None = None
        self._addresses_read_at = 0.0
        self._keys: Mapping[str, RSAPublicKey] = {}
        self._keys_read_at: float | None = None
        self._reading = asyncio.Lock()
        self._failed_at: float | None = None

    async def addresses(self) -> Addresses:
        """The provider's addresses. Raises SignInFailed where they cannot be read."""
        async with self._reading:
            return await self._current_addresses()

    async def key(self, key_id: str) -> RSAPublicKey | None:
        """The public key of this id, None where the provider has none. Raises SignInFailed where it does not answer."""
        async with self._reading:
            age = None if self._keys_read_at is None else time.monotonic() - self._keys_read_at
            is_late = age is None or age > KEYS_SECONDS
            is_missing = key_id not in self._keys and age is not None and age > KEYS_PAUSE_SECONDS
            if is_late or is_missing:
                addresses = await self._current_addresses()
                self._keys = _rsa_keys(await self._document(addresses.keys))
                self._keys_read_at = time.monotonic()
            return self._keys.get(key_id)

    async def _current_addresses(self) -> Addresses:
        if self._addresses is None or time.monotonic() - self._addresses_read_at > DIRECTORY_SECONDS:
            document = await self._document(f"{self._issuer}/.well-known/openid-configuration")
            self._addresses = self._addresses_in(document)
            self._addresses_read_at = time.monotonic()
        return self._addresses

    async def _document(self, url: str) -> Mapping[str, Any]:
        if self._failed_at is not None and time.monotonic() - self._failed_at < self._failure_seconds:
            raise SignInFailed(
                SignInFailure.PROVIDER_UNAVAILABLE, "the previous request to the provider failed"
            )
        try:
            return await self._requested(url)
        except SignInFailed:
            # The pause starts with the failure itself, and a cancelled caller does not start it.
            self._failed_at = time.monotonic()
            raise

    async def _requested(self, url: str) -> Mapping[str, Any]:
        answer = await self._client.get(url)
        if answer.status != 200:
            raise SignInFailed(SignInFailure.PROVIDER_UNAVAILABLE, f"status {answer.status}")
        return answer.document

    def _addresses_in(self, document: Mapping[str, Any]) -> Addresses:
        named = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        found = [address for address in named if isinstance(address, str) and self._is_safe(address)]
        if document.get("issuer") != self._issuer or len(found) != len(named):
            raise SignInFailed(
                SignInFailure.PROVIDER_UNAVAILABLE,
                "the provider's configuration is incomplete or names another issuer",
            )
        return Addresses(*found)

    def _is_safe(self, address: str) -> bool:
        """Whether it is an address as secure as the issuer's: plain HTTP only where the issuer uses it."""
        try:
            scheme = urlsplit(address).scheme
        except ValueError:
            return False
        return address.isascii() and scheme in {"https", urlsplit(self._issuer).scheme}


def _rsa_keys(document: Mapping[str, Any]) -> dict[str, RSAPublicKey]:
    """The usable RSA keys by id; keys for other purposes and algorithms are ignored."""
    listed = document.get("keys")
    found: dict[str, RSAPublicKey] = {}
    for described in listed[:KEYS_MAX] if isinstance(listed, list) else ():
        key_id = described.get("kid") if isinstance(described, dict) else None
        if (
            not isinstance(key_id, str)
            or described.get("kty") != "RSA"
            or described.get("use", "sig") != "sig"
        ):
            continue
        try:
            key = jwt.PyJWK(described, algorithm="RS256").key
        except (jwt.PyJWTError, ValueError):
            continue
        if isinstance(key, RSAPublicKey) and key.key_size >= KEY_BITS_MIN:
            found[key_id] = key
    return found
