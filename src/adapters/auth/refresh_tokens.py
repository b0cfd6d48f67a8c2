"""Refresh tokens: `<session id>.<secret>`, opaque to clients, stored as a hash only."""

import base64
import binascii
import hashlib
import hmac
import secrets

from application.ports.tokens import RefreshToken, ShownRefreshToken
from domain.entity import is_id
from domain.errors import Unauthenticated

SECRET_BYTES = 32
MARK_BYTES = 16
TEXT_LENGTH = 24 + 1 + (SECRET_BYTES + MARK_BYTES) * 4 // 3


class OpaqueRefreshTokens:
    """The port RefreshTokens.

    The secret is 256 random bits and a mark that only this installation can make. The mark grants nothing: it
    distinguishes an older token, whose reuse ends the session, from text made up to end the sessions of other people.
    After a change of keys the current tokens stay valid, as their hash is stored; only older ones look made up.
    """

    def __init__(self, marking_key: bytes) -> None:
        self._marking_key = marking_key

    def fresh(self, session_id: str) -> RefreshToken:
        secret = secrets.token_bytes(SECRET_BYTES)
        encoded = base64.urlsafe_b64encode(secret + self._mark(session_id, secret)).decode()
        text = f"{session_id}.{encoded}"
        return RefreshToken(text, _hash(text))

    def read(self, text: str) -> ShownRefreshToken:
        session_id, _, encoded = text.partition(".")
        if len(text) != TEXT_LENGTH or not text.isascii() or not is_id(session_id):
            raise Unauthenticated("This is not a refresh token.")
        try:
            raw = base64.b64decode(encoded, altchars=b"-_", validate=True)
        except binascii.Error as error:
            raise Unauthenticated("This is not a refresh token.") from error
        secret, mark = raw[:SECRET_BYTES], raw[SECRET_BYTES:]
        is_genuine = hmac.compare_digest(mark, self._mark(session_id, secret))
        return ShownRefreshToken(session_id, _hash(text), is_genuine)

    def _mark(self, session_id: str, secret: bytes) -> bytes:
        return hmac.digest(self._marking_key, session_id.encode() + secret, "sha256")[:MARK_BYTES]


def _hash(text: str) -> str:
    """A plain hash, without salt or work factor: 256 random bits cannot be guessed."""
    return hashlib.sha256(text.encode()).hexdigest()
