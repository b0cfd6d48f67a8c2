"""What the adoption of another service's database reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from application.ports.migration import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A document that cannot become a record. `raw` is the whole document as extended JSON (base64 if damaged)."""

    collection: str
    id: str
    reason: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionCount:
    """What becomes of one collection: its documents, and how many of them are taken over, or are in quarantine."""

    documents: int
    adopted: int
    quarantined: int


class SoFar(StrEnum):
    """What the store that takes the records over says of the adoption of a database."""

    NOT_BEGUN = "NOT_BEGUN"
    INTERRUPTED = "INTERRUPTED"
    COMPLETE = "COMPLETE"
    OTHER_DATABASE = "OTHER_DATABASE"
    """It has adopted another database, or has begun to."""
    NOT_EMPTY = "NOT_EMPTY"
    """It has adopted nothing, and holds records already."""
    UNKNOWN = "UNKNOWN"
    """The store cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptionReport:
    """The result of a census or of an adoption. `written` counts the records of this run; None for a census.

    `records` counts the records that there are afterwards, by collection of Tandem; `so_far` is what there was before.
    """

    database: str
    documents: Mapping[str, CollectionCount]
    records: Mapping[str, int]
    findings: tuple[Finding, ...]
    set_aside: Sequence[SetAside]
    has_administrator: bool
    written: int | None
    so_far: SoFar

    @property
    def is_clear(self) -> bool:
        """Whether every document is taken over."""
        return not self.set_aside
