"""The schema of the stores, and how it changes from version to version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

FLAWS_NAMED_MAX: Final = 5
UNFIT_NAMED_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """Where one store stands: its present revision (None before the first), and the one this program expects."""

    store: str
    revision: str | None
    expected: str

    @property
    def is_current(self) -> bool:
        """Whether the program and the store agree."""
        return self.revision == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRecords:
    """What one collection of one store holds in older forms, of the records that were looked at.

    `waiting` are read in today's form and stored so with their next change; `unfit` cannot be read at all, because
    something required is missing or unknown; `unfit_ids` are the first of them. Not complete means that the collection
    holds more than was looked at.
    """

    store: str
    collection: str
    looked_at: int
    waiting: int
    unfit: int
    rewritten: int
    is_complete: bool
    unfit_ids: tuple[str, ...] = ()


class FlawEffect(StrEnum):
    """What a flaw in a current schema leads to."""

    UNSAFE = "UNSAFE"
    """Records may be lost, or break a rule that the store enforces."""
    UNCOUNTED = "UNCOUNTED"
    """What other programs change is not noticed, so nobody can know whether two stores are still equal."""
    UNREADABLE = "UNREADABLE"
    """Nobody can read some of the documents; everything else works."""
    SLOW = "SLOW"
    """Some questions take longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFlaw:
    """Something in a current schema that somebody has removed or changed by hand, and what to type."""

    cause: str
    remedy: str
    effect: FlawEffect = FlawEffect.UNSAFE


def summary_of(flaws: Sequence[SchemaFlaw]) -> tuple[str, Sequence[str]]:
    """The causes of the first flaws as one text that says how many more there are, and each of their remedies once."""
    named = flaws[:FLAWS_NAMED_MAX]
    causes = [flaw.cause for flaw in named]
    if len(flaws) > FLAWS_NAMED_MAX:
        causes.append(f"{len(flaws) - FLAWS_NAMED_MAX} more.")
    return " ".join(causes), [*dict.fromkeys(flaw.remedy for flaw in named if flaw.remedy)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaReport:
    """The stores that can be read, with their old records and the flaws of their schema by name, and why the others
    cannot, by name. `differences` is what the newest comparison of source and target has found; None for nothing.
    """

    states: Sequence[SchemaState]
    waiting: Sequence[OldRecords]
    unreadable: Mapping[str, str]
    flaws: Mapping[str, Sequence[SchemaFlaw]] = field(default_factory=dict)
    differences: str | None = None


class Schema(Protocol):
    """The schema of every store in use. All methods raise StoreUnavailable where a store does not answer."""

    async def states(self) -> Sequence[SchemaState]:
        """Where each store stands; changes nothing."""

    async def upgrade(self) -> Sequence[SchemaState]:
        """Brings each store to what this program expects, creating what is missing, also in a current schema. Harmless
        when done already.
        """

    async def waiting(self) -> Sequence[OldRecords]:
        """How many records of each collection wait for an upgrade, in each store whose schema can be read; a bounded
        number of them is looked at.
        """

    async def rewrite(self) -> Sequence[OldRecords]:
        """Stores every old record in today's form under its present version, and says what is left. May be repeated,
        and run beside writers.
        """

    async def flaws(self) -> Mapping[str, Sequence[SchemaFlaw]]:
        """What somebody removed by hand from each current schema, by the name of its store; changes nothing."""

    async def downgrade(self) -> Sequence[SchemaState]:
        """Takes each store that has steps behind it one step back. Raises Conflict where there is none."""
