"""Invitation codes: signed and self-contained, so nothing about them is stored."""

import base64
import binascii
import hmac
import struct
from datetime import UTC, datetime

from application.ports.invitations import Invitation

CODE_LENGTH = 56
MAC_BYTES = 11
# Team, end in seconds since 1970, series. Together with the MAC these are 35 bytes, which are 56 characters of base32
# without padding, so every code has one spelling (apart from case).
_CONTENT = struct.Struct(">12sQI")


class InviteCodes:
    """The port Invitations: base32 of an invitation's content and a truncated HMAC-SHA256 over it.

    Every process of an installation must have the same secret.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def code_of(self, invitation: Invitation) -> str:
        ends_at = int(invitation.expires_at.timestamp())
        content = _CONTENT.pack(bytes.fromhex(invitation.team_id), ends_at, invitation.series)
        return base64.b32encode(content + self._mac(content)).decode()

    def read(self, code: str) -> Invitation | None:
        raw = _decoded(code.strip())
        if raw is None:
            return None
        content, mac = raw[: _CONTENT.size], raw[_CONTENT.size :]
        if not hmac.compare_digest(mac, self._mac(content)):
            return None
        team, ends_at, series = _CONTENT.unpack(content)
        return Invitation(
            team_id=team.hex(), series=series, expires_at=datetime.fromtimestamp(ends_at, tz=UTC)
        )

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, content, "sha256")[:MAC_BYTES]


def _decoded(code: str) -> bytes | None:
    """The bytes of a code; None for text that cannot be one."""
    if len(code) != CODE_LENGTH or not code.isalnum():
        return None
    try:
        return base64.b32decode(code.encode("ascii"), casefold=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
