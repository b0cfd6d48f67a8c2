"""The RS256 keys: from the settings, or one generated once and kept in the data directory."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)

from adapters.files.directories import make_private_directory
from adapters.files.whole_files import OWNER_ONLY, create_file

KEY_BITS_MIN = 2048
KEY_FILE = "signing-key.pem"
PUBLIC_KEYS_MAX = 8
_KEY_ID_LENGTH = 16
_PUBLIC_EXPONENT = 65_537
_PUBLIC_PEM = re.compile(rb"-----BEGIN [A-Z ]*PUBLIC KEY-----.*?-----END [A-Z ]*PUBLIC KEY-----", re.DOTALL)


class UnusableKey(Exception):
    """A signing key cannot be used; the message says which setting to change and never shows the key."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The signing key, and the accepted public keys by id: its own, earlier ones, the next one.

    A key's id is a digest of its public half, so it is the same in every process.
    """

    private: RSAPrivateKey
    key_id: str
    accepted: Mapping[str, RSAPublicKey]
    seed: bytes

    def derived_secret(self, purpose: str) -> bytes:
        """32 secret bytes for another purpose; the same in every process that signs with this key."""
        return hmac.digest(self.seed, purpose.encode(), "sha256")


def load_key_pair(
    private_key: str | None, public_keys: str | None, *, directory: Path | None = None
) -> KeyPair:
    """The keys of these PEM texts; without a private key, the one in the directory, generated there if it is missing.

    `public_keys` holds one PEM after the other, at most PUBLIC_KEYS_MAX: the private key's own, and others whose tokens
    are accepted as well. Without a directory a fresh key lives as long as the process. Raises UnusableKey for keys that
    are malformed or weaker than KEY_BITS_MIN bits, or where the private key's own is missing.
    """
    if private_key is not None:
        private = _private_key(_pem(private_key))
    elif public_keys is not None:
        raise UnusableKey("PRIVATE_KEY is missing: PUBLIC_KEY alone cannot sign tokens.")
    elif directory is not None:
        private = _generated_key(directory)
    else:
        private = _fresh_key()
    _require_strong(private, "PRIVATE_KEY")
    own = private.public_key()
    accepted = {_key_id(own): own} if public_keys is None else public_keys_of(public_keys)
    if _key_id(own) not in accepted:
        raise UnusableKey("PUBLIC_KEY does not belong to PRIVATE_KEY.")
    numbers = private.private_numbers()
    seed = hashlib.sha256(f"{numbers.p}:{numbers.q}".encode()).digest()
    return KeyPair(private, _key_id(own), accepted, seed)


@dataclass(frozen=True, slots=True)
class KeyTexts:
    """A new key pair in PEM, as the settings take it."""

    private: str = field(repr=False)
    public: str
    key_id: str


def new_key_texts() -> KeyTexts:
    """A new RS256 key pair of KEY_BITS_MIN bits."""
    key = _fresh_key()
    public = key.public_key()
    spki = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    return KeyTexts(_private_pem(key).decode(), spki, _key_id(public))


def public_keys_of(text: str) -> dict[str, RSAPublicKey]:
    """The public keys of a PEM text by id. Raises UnusableKey for malformed or weak ones, or too many."""
    pems = _PUBLIC_PEM.findall(_pem(text))
    if not 1 <= len(pems) <= PUBLIC_KEYS_MAX or _PUBLIC_PEM.sub(b"", _pem(text)).strip():
        raise UnusableKey(
            f"PUBLIC_KEY must contain 1 to {PUBLIC_KEYS_MAX} public keys in PEM, one after the other."
        )
    keys = [_public_key(pem) for pem in pems]
    return {_key_id(key): key for key in keys}


def _key_id(key: RSAPublicKey) -> str:
    return hashlib.sha256(_public_bytes(key)).hexdigest()[:_KEY_ID_LENGTH]


def _require_strong(key: RSAPrivateKey | RSAPublicKey, variable: str) -> None:
    if key.key_size < KEY_BITS_MIN:
        raise UnusableKey(f"{variable} has {key.key_size} bits; at least {KEY_BITS_MIN} are needed.")


def _pem(text: str) -> bytes:
    """Restores line breaks: environment files often write them as backslash and n."""
    return text.replace("\\n", "\n").strip().encode()


def _private_key(pem: bytes) -> RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKey("PRIVATE_KEY is not an unencrypted private key in PEM.") from error
    if not isinstance(key, RSAPrivateKey):
        raise UnusableKey("PRIVATE_KEY is not an RSA key.")
    return key


def _generated_key(directory: Path) -> RSAPrivateKey:
    """The key of the file that this program wrote. Raises UnusableKey for a damaged file."""
    try:
        # Testing its numbers for primality would take 40 ms at every start; `_is_intact` takes 1 ms.
        key = serialization.load_pem_private_key(
            _kept_pem(directory), password=None, unsafe_skip_rsa_key_validation=True
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, RSAPrivateKey) and _is_intact(key):
        return key
    raise UnusableKey(
        f"The signing key in {directory / KEY_FILE} is damaged. Restore the file, or remove it: a new key is then"
        " generated, and every user signs in again."
    )


def _is_intact(key: RSAPrivateKey) -> bool:
    """Whether its numbers belong together and its signature is valid."""
    numbers = key.private_numbers()
    try:
        signature = key.sign(b"", PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signature, b"", PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        return False
    return numbers.p * numbers.q == numbers.public_numbers.n


def _public_key(pem: bytes) -> RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKey("PUBLIC_KEY is not a public key in PEM.") from error
    if not isinstance(key, RSAPublicKey):
        raise UnusableKey("PUBLIC_KEY is not an RSA key.")
    _require_strong(key, "PUBLIC_KEY")
    return key


def _public_bytes(key: RSAPublicKey) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, spki)


def _fresh_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=_PUBLIC_EXPONENT, key_size=KEY_BITS_MIN)


def _private_pem(key: RSAPrivateKey) -> bytes:
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)


def _kept_pem(directory: Path) -> bytes:
    path = directory / KEY_FILE
    if not path.exists():
        make_private_directory(directory)
        # Where two processes start at once, both use the first one.
        create_file(path, _private_pem(_fresh_key()), mode=OWNER_ONLY)
    return path.read_bytes()
