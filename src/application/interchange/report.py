"""The report of an import or of its dry run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from application.ports.interchange import Loss

EXAMPLES_MAX = 5
SKIPS_MAX = 1_000
"""How many skipped issues a report names; it counts all of them."""


class Fate(StrEnum):
    """The outcome for one issue."""

    CREATED = "created"
    CREATED_IN_TRASH = "createdInTrash"
    CHANGED = "changed"
    TRASHED = "trashed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of one issue, with the reason if it was skipped. `kept` names fields whose value here was kept, `lost`
    is what the task could not get.
    """

    key: str
    fate: Fate
    why: str | None = None
    kept: tuple[str, ...] = ()
    lost: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """A skipped issue and the reason."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class LossCount:
    """How often a field is lost for the same reason, with the keys of some of the issues."""

    field: str
    why: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """The number of issues for every fate. A dry run has the same report and changes nothing."""

    format: str
    project_id: str
    project_name: str
    is_dry_run: bool
    is_new_project: bool
    new_labels: tuple[str, ...]
    fates: Mapping[Fate, int]
    skipped: tuple[Skip, ...]
    lost: tuple[LossCount, ...]

    @property
    def changes_nothing(self) -> bool:
        """Whether the import has nothing to change."""
        made = sum(count for fate, count in self.fates.items() if fate not in (Fate.UNCHANGED, Fate.SKIPPED))
        return not (made or self.is_new_project or self.new_labels)


@dataclass(slots=True)
class Tally:
    """The counts of a running import."""

    fates: Counter[Fate] = field(default_factory=Counter)
    skipped: list[Skip] = field(default_factory=list)
    losses: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def lose(self, losses: Iterable[Loss]) -> None:
        """Counts losses."""
        for loss in losses:
            self.losses.setdefault((loss.field, loss.why), []).append(loss.key)

    def count(self, outcomes: Iterable[Outcome]) -> None:
        """Counts outcomes."""
        for outcome in outcomes:
            self.fates[outcome.fate] += 1
            if outcome.why is not None and len(self.skipped) < SKIPS_MAX:
                self.skipped.append(Skip(outcome.key, outcome.why))
            why = "was also changed here; the value here was kept"
            self.lose(Loss(outcome.key, name, why) for name in outcome.kept)
            self.lose(outcome.lost)

    def fate_counts(self) -> dict[Fate, int]:
        """The number of issues for every fate."""
        return {fate: self.fates[fate] for fate in Fate}

    def loss_counts(self) -> tuple[LossCount, ...]:
        """The losses, the most frequent first."""
        counts = [
            LossCount(name, why, len(keys), tuple(dict.fromkeys(keys))[:EXAMPLES_MAX])
            for (name, why), keys in self.losses.items()
        ]
        return tuple(sorted(counts, key=lambda loss: (-loss.count, loss.field, loss.why)))
