"""The RS256 key pair: from the settings, or made once and kept in the data directory."""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)

KEY_BITS_MIN = 2048
KEY_FILE = "signing-key.pem"
_KEY_ID_LENGTH = 16
_PUBLIC_EXPONENT = 65_537


class UnusableKey(Exception):
    """A signing key cannot be used; the message says which setting to change and never shows the key."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """What signs and what verifies. `key_id` is a digest of the public key, so every process names it alike."""

    private: RSAPrivateKey
    public: RSAPublicKey
    key_id: str
    seed: bytes

    def derived_secret(self, purpose: str) -> bytes:
        """32 secret bytes for another purpose; the same in every process that holds this key pair."""
        return hmac.digest(self.seed, purpose.encode(), "sha256")


def load_key_pair(
    private_key: str | None, public_key: str | None, *, directory: Path | None = None
) -> KeyPair:
    """The pair of these PEM texts; without a private key, the one kept in the directory, made there if it is missing.

    Without a directory a fresh pair lives as long as the process. Raises UnusableKey for keys that are malformed,
    weaker than KEY_BITS_MIN bits, or no pair.
    """
    if private_key is not None:
        pair = _pair(_private_key(_pem(private_key)))
    elif public_key is not None:
        raise UnusableKey("PRIVATE_KEY is missing: PUBLIC_KEY alone cannot sign tokens.")
    elif directory is not None:
        pair = _pair(_private_key(_kept_pem(directory)))
    else:
        pair = _pair(_fresh_key())
    if public_key is not None and _public_bytes(_public_key(_pem(public_key))) != _public_bytes(pair.public):
        raise UnusableKey("PUBLIC_KEY does not belong to PRIVATE_KEY.")
    return pair


def _pair(private: RSAPrivateKey) -> KeyPair:
    if private.key_size < KEY_BITS_MIN:
        raise UnusableKey(f"PRIVATE_KEY has {private.key_size} bits; at least {KEY_BITS_MIN} are needed.")
    public = private.public_key()
    key_id = hashlib.sha256(_public_bytes(public)).hexdigest()[:_KEY_ID_LENGTH]
    numbers = private.private_numbers()
    seed = hashlib.sha256(f"{numbers.p}:{numbers.q}".encode()).digest()
    return KeyPair(private, public, key_id, seed)


def _pem(text: str) -> bytes:
    """Environment files often carry the line breaks of a PEM as backslash and n."""
    return text.replace("\\n", "\n").strip().encode()


def _private_key(pem: bytes) -> RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKey("PRIVATE_KEY is not an unencrypted private key in PEM.") from error
    if not isinstance(key, RSAPrivateKey):
        raise UnusableKey("PRIVATE_KEY is not an RSA key.")
    return key


def _public_key(pem: bytes) -> RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKey("PUBLIC_KEY is not a public key in PEM.") from error
    if not isinstance(key, RSAPublicKey):
        raise UnusableKey("PUBLIC_KEY is not an RSA key.")
    return key


def _public_bytes(key: RSAPublicKey) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, spki)


def _fresh_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=_PUBLIC_EXPONENT, key_size=KEY_BITS_MIN)


def _kept_pem(directory: Path) -> bytes:
    path = directory / KEY_FILE
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        _keep(path)
    return path.read_bytes()


def _keep(path: Path) -> None:
    """Writes a fresh key that only its owner may read; where two processes start at once, both use the first."""
    pem = _fresh_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
