"""The documents of another service, as they are read to be adopted. Nothing writes them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.records.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """One document. `fields` are its values as extended JSON (canonical), in which every value names its BSON type.

    `id` is the ObjectId's 24 digits, or the text of an id of another kind, by which people find the document. A
    document that cannot be decoded has no fields; `damage` says why, and `raw` holds its bytes as base64.
    """

    collection: str
    id: str
    fields: dict[str, Any]
    damage: str | None = None
    raw: str | None = None


class Originals(Protocol):
    """A database of another service. Every method raises StoreUnavailable."""

    @property
    def database(self) -> str:
        """Its name."""

    async def collections(self) -> Sequence[str]:
        """The names of its collections, without Tandem's own."""

    async def is_tandems(self) -> bool:
        """Whether Tandem itself keeps its records in it, and not beside the collections of another service."""

    async def is_marked(self) -> bool:
        """Whether Tandem keeps its records in it beside the collections of another service."""

    async def count(self, collection: str) -> int:
        """How many documents a collection holds."""

    def documents(self, collection: str) -> AsyncIterator[Original]:
        """All documents of a collection, by id."""

    async def mark(self, note: Record) -> None:
        """Makes the database one in which Tandem's collections have a prefix, by its first control record, which says
        that the adoption is not complete. Harmless when done already.
        """
