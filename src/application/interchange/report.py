"""What an import did, or would do."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from application.ports.interchange import Loss

EXAMPLES_MAX = 5


class Fate(StrEnum):
    """What became of one issue."""

    CREATED = "created"
    CREATED_IN_TRASH = "createdInTrash"
    CHANGED = "changed"
    TRASHED = "trashed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of one issue, and why where it was skipped. `kept` names fields that were changed here meanwhile."""

    key: str
    fate: Fate
    why: str | None = None
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """An issue that was left alone, and why."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class LossCount:
    """How often the same is lost for the same reason, and the keys of a few issues that lose it."""

    field: str
    why: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """How many issues met which fate (each fate is there); the same for a dry run, which changed nothing."""

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
        """Whether everything was there already."""
        made = sum(count for fate, count in self.fates.items() if fate not in (Fate.UNCHANGED, Fate.SKIPPED))
        return not (made or self.is_new_project or self.new_labels)


@dataclass(slots=True)
class Tally:
    """Counts while an import runs."""

    fates: Counter[Fate] = field(default_factory=Counter)
    skipped: list[Skip] = field(default_factory=list)
    losses: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def lose(self, losses: Iterable[Loss]) -> None:
        """Notes what could not be carried."""
        for loss in losses:
            self.losses.setdefault((loss.field, loss.why), []).append(loss.key)

    def count(self, outcomes: Iterable[Outcome]) -> None:
        """Notes what became of some issues."""
        for outcome in outcomes:
            self.fates[outcome.fate] += 1
            if outcome.why is not None:
                self.skipped.append(Skip(outcome.key, outcome.why))
            why = "was changed here as well; what stands here stays"
            self.lose(Loss(outcome.key, name, why) for name in outcome.kept)

    def fate_counts(self) -> dict[Fate, int]:
        """How many issues met which fate, every fate named."""
        return {fate: self.fates[fate] for fate in Fate}

    def loss_counts(self) -> tuple[LossCount, ...]:
        """The losses, the most frequent first."""
        counts = [
            LossCount(name, why, len(keys), tuple(dict.fromkeys(keys))[:EXAMPLES_MAX])
            for (name, why), keys in self.losses.items()
        ]
        return tuple(sorted(counts, key=lambda loss: (-loss.count, loss.field, loss.why)))
