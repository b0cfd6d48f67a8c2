"""Signing keys in PEM, as settings hold them."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


@cache
def pem_pair(name: str = "usual", *, bits: int = 2048) -> dict[str, str]:
    """The settings PRIVATE_KEY and PUBLIC_KEY with an RSA pair; each name has its own."""
    key = generate_private_key(public_exponent=65_537, key_size=bits)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"PRIVATE_KEY": private.decode(), "PUBLIC_KEY": public.decode()}
