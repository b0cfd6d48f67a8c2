"""The documents of another service, as they are read to be adopted. Nothing writes them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.records.adoption_state import State
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

    @property
    def own_prefix(self) -> str:
        """Begins the names of Tandem's collections beside those of the other service."""

    async def collections(self) -> Sequence[str]:
        """The names of its collections, without Tandem's own."""

    async def is_tandems(self) -> bool:
        """Whether Tandem itself keeps its records in it, and not beside the collections of another service."""

    async def is_marked(self) -> bool:
        """Whether Tandem keeps its records in it beside the collections of another service."""

    async def marked_state(self) -> State | None:
        """How far the adoption is by which Tandem came to keep records in it; None without one."""

    async def count(self, collection: str) -> int:
        """How many documents a collection holds."""

    def documents(self, collection: str) -> AsyncIterator[Original]:
        """All documents of a collection, by id."""

    async def mark(self, note: Record) -> None:
        """Makes the database one in which Tandem's collections have a prefix, by its first control record, which says
        that the adoption is not complete. Harmless when done already.
        """

    async def complete_mark(self) -> None:
        """Says in that control record that the adoption is complete. Harmless when done already, and without one."""
