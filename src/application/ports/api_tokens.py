"""The texts of API tokens."""

from dataclasses import dataclass, field
from typing import Protocol

PREFIX = "tnd_"
"""The start of each API token, by which they are told from access tokens, and found in files that were published."""


@dataclass(frozen=True, slots=True)
class ApiTokenText:
    """An API token and its hash. Only the hash is stored, and the token does not follow from it."""

    id: str
    text: str = field(repr=False)
    hash: str = field(repr=False)


class ApiTokenTexts(Protocol):
    """Makes and reads the texts of API tokens; the stored record decides whether a token is valid."""

    def fresh(self, id: str) -> ApiTokenText:
        """A new token for the record with this id."""

    def read(self, text: str) -> ApiTokenText:
        """The id and the hash of a token. Raises Unauthenticated for a text that cannot be one."""
