"""API tokens: `tnd_<id>_<secret>`."""

import hashlib
import re
import secrets

from application.ports.api_tokens import PREFIX, ApiTokenText
from domain.errors import Unauthenticated

SECRET_BYTES = 32
_TEXT = re.compile(PREFIX + r"(?P<id>[0-9a-f]{24})_[0-9a-f]{64}")


class RandomApiTokens:
    """The port ApiTokenTexts. The secret is 256 random bits; the id finds the stored record by its key."""

    def fresh(self, id: str) -> ApiTokenText:
        text = f"{PREFIX}{id}_{secrets.token_hex(SECRET_BYTES)}"
        return ApiTokenText(id, text, _hash(text))

    def read(self, text: str) -> ApiTokenText:
        parts = _TEXT.fullmatch(text)
        if parts is None:
            raise Unauthenticated("This is not an API token; check that it was copied completely.")
        return ApiTokenText(parts["id"], text, _hash(text))


def _hash(text: str) -> str:
    """SHA-256 without salt or work factor. Those make it expensive to try likely passwords; 256 random bits cannot be
    tried at all, and every request pays for the hash.
    """
    return hashlib.sha256(text.encode("ascii")).hexdigest()
