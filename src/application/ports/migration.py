"""The live migration, as an operator sees it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from application.ports.dry_runs import DryRuns
from application.ports.key_coverage import KeyCoverage
from domain.migration import Phase, Route, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a long step is. `total` is an estimate; None where nobody knows it yet.

    `eta_seconds` is a range (at best, at worst), None without a rate. `waits_for` says why it does not go on, and when
    it gives up; None while it goes on.
    """

    done: int
    total: int | None
    rate_per_second: int = 0
    eta_seconds: tuple[int, int] | None = None
    collection: str | None = None
    waits_for: str | None = None


OnProgress = Callable[[Progress], None]


class DifferenceKind(StrEnum):
    """How one record differs between the stores."""

    MISSING = "MISSING"
    """The target lacks it."""
    EXTRA = "EXTRA"
    """The target holds it, and the source does not."""
    CHANGED = "CHANGED"
    """Same version, other content."""
    BEHIND = "BEHIND"
    """The target holds an older version, and no entry is on its way."""
    AHEAD = "AHEAD"
    """The target holds a newer version than the source."""
    UNREADABLE = "UNREADABLE"
    """One of the stores cannot decode it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One record that differs. Names of fields only, never values."""

    collection: str
    id: str
    kind: DifferenceKind
    fields: tuple[str, ...] = ()
    source_version: int | None = None
    target_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionCoverage:
    """What a verification compared of one collection, in records of the source and of the target."""

    collection: str
    source: int
    target: int
    compared: int
    differences: int

    @property
    def coverage(self) -> float:
        """The share of the records in either store that was compared; 1.0 for an empty collection."""
        total = max(self.source, self.target)
        return 1.0 if total == 0 else min(1.0, self.compared / total)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRecord:
    """A record that only one store holds, because the operator decided to leave it behind, and why."""

    collection: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The evidence of one verification. Void once the target's incarnation or the epoch is another one.

    `differences` holds at most DIFFERENCES_MAX; `difference_count` counts all. Records in `skipped` are known to differ
    and are not among them.
    """

    mode: str
    started_at: datetime
    ended_at: datetime
    incarnation: int
    epoch: int
    collections: tuple[CollectionCoverage, ...]
    differences: tuple[Difference, ...]
    difference_count: int
    skipped: tuple[SkippedRecord, ...] = ()

    @property
    def coverage(self) -> float:
        """The lowest coverage of a collection."""
        return min((row.coverage for row in self.collections), default=0.0)

    @property
    def is_clean(self) -> bool:
        """Whether everything was compared and is equal, apart from records that were skipped."""
        return self.coverage == 1.0 and self.difference_count == 0


DIFFERENCES_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A record that the target rejects, with its bytes as stored; `decision` is None until a person decides.

    `content` identifies what was skipped, as the store `held_by` held it: another content is a difference again.
    """

    id: str
    collection: str
    record_id: str
    reason: str
    raw: str
    decision: str | None = None
    decided_because: str | None = None
    content: str | None = None
    held_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of trouble that preflight found, with at most a few sample ids and what it means."""

    code: str
    collection: str | None
    count: int
    samples: tuple[str, ...]
    consequence: str
    remedy: str
    blocks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What the source holds, what would be lost or rejected, and how long the backfill will take, in seconds."""

    records: dict[str, int]
    findings: tuple[Finding, ...]
    estimate_seconds: tuple[int, int] | None

    @property
    def is_clear(self) -> bool:
        """Whether nothing that was found would be lost or rejected."""
        return not any(finding.blocks for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTwice:
    """A record that both stores had changed before a recovery: a person should look at it."""

    collection: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a recovery did: `changes` came back from the target, and `rebased` changes of the source follow them as new
    versions. `changed_twice` holds at most the first 1,000 of `changed_twice_count`.
    """

    changes: int
    rebased: int
    changed_twice: tuple[ChangedTwice, ...]
    changed_twice_count: int
    verification: Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One condition of a cut-over. `since` is when it became as it is; None where nobody knows."""

    code: str
    is_green: bool
    detail: str
    remedy: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchResult:
    """What a cut-over, a rollback or a rehearsal did: who owns the writes now, and how long writes paused."""

    owner: str
    epoch: int
    pause_ms: int
    guards: tuple[Guard, ...] = ()
    is_dry_run: bool = False


class JobState(StrEnum):
    """The state of long work."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Long work under way in this process, or ended. `id` is None for a dry run, `code` the code of the error."""

    id: str | None
    step: str
    state: JobState
    progress: Progress | None = None
    result: Any = None
    error: str | None = None
    code: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.state is JobState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionMove:
    """One collection on both sides. Counts are None where a store does not answer."""

    collection: str
    source_records: int | None
    target_records: int | None
    backfilled: int
    is_backfilled: bool
    coverage: float | None
    differences: int | None
    verified_at: datetime | None
    route: Route
    fallbacks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """One step of the move, as it is kept. `pause_ms` is how long writes paused; None for steps without a pause."""

    step: str
    at: datetime
    by: str
    detail: str
    pause_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveProcess:
    """A process that uses the source. `mirrors`: it is seen at the target, too; None where that does not answer."""

    process: str
    is_alive: bool
    mirrors: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveStatus:
    """The whole move."""

    phase: Phase
    epoch: int
    owner: str
    source: str
    target: str | None
    next_command: str
    steps: tuple[StepTaken, ...]
    guards: tuple[Guard, ...]
    processes: tuple[MoveProcess, ...]
    collections: tuple[CollectionMove, ...]
    last_rehearsal: StepTaken | None
    pending: int
    lag_ms: int
    is_paused: bool
    skipped: int = 0
    """How many records were left behind by decision: the comparison does not count them as differences."""
    equal_as_of: datetime | None = None
    """The instant up to which both stores were compared in full and are equal; None where nobody can say that."""


class Migration(DryRuns, Protocol):
    """The steps of a move. Each raises Conflict, with the phase and the command that helps, where it is not allowed,
    and StoreUnavailable where a store does not answer; then nothing has changed, or the step can be repeated.
    """

    async def status(self) -> MoveStatus:
        """Where the move stands."""
        ...

    async def require(self, step: Step, *, reads_target: bool = True) -> None:
        """Raises Conflict unless the phase allows the step, and StoreUnavailable, with the cause, where the step reads
        the target and that does not answer.
        """
        ...

    async def preflight(self, on_progress: OnProgress) -> Preflight:
        """Reads the whole source and changes nothing."""
        ...

    async def backfill(
        self, on_progress: OnProgress, *, by: str, rate: int | None = None, new_target: bool = False
    ) -> int:
        """Gives the target everything that the source holds; returns how many records were read.

        Continues where an earlier attempt ended. `rate` bounds the records per second. `new_target`: the store at the
        target's address is an empty one, in place of a lost target.
        """
        ...

    async def recover(self, on_progress: OnProgress, *, by: str) -> Recovered:
        """Brings a source that is an older copy of itself up to what the target holds, verifies and reopens it."""
        ...

    async def survive(self, *, by: str, reason: str) -> SwitchResult:
        """Makes the target the owner although the source is lost: what had not reached the target is given up."""
        ...

    async def verify(self, on_progress: OnProgress, *, by: str, is_incremental: bool = False) -> Verification:
        """Compares the stores, or what has changed in either of them since they were equal, and keeps the evidence."""
        ...

    async def coverage(self, collection: str, *, buckets: int) -> KeyCoverage:
        """What is known of a collection by ranges of ids, in at most so many buckets."""
        ...

    async def self_test(self, count: int) -> int:
        """Corrupts `count` records in a scratch copy; returns how many of them a verification finds."""
        ...

    async def repair(self, on_progress: OnProgress, *, by: str) -> Verification:
        """Repairs what the last verification found, then verifies again."""
        ...

    async def quarantine(self) -> Sequence[Quarantined]:
        """The records that the target rejected during a backfill."""
        ...

    async def decide(self, id: str, *, fix: bool, reason: str, by: str) -> Quarantined:
        """Decides about a quarantined record: `fix` tries it again, otherwise it is skipped with the reason.

        Raises NotFound.
        """
        ...

    async def route(self, collection: str, route: Route, *, by: str, is_dry_run: bool = False) -> None:
        """Sets which store answers the reads of a collection, or of `all`. Raises NotFound for an unknown one.

        A dry run only checks whether that is possible.
        """
        ...

    async def rehearse(self, *, by: str, is_dry_run: bool = False) -> SwitchResult:
        """Goes through a cut-over up to the decision, takes it back, and measures the pause."""
        ...

    async def cut_over(self, *, by: str, force: str | None = None, is_dry_run: bool = False) -> SwitchResult:
        """Makes the target the owner. Raises Conflict with the red guards unless forced with a reason.

        A dry run only returns the guards.
        """
        ...

    async def roll_back(self, *, by: str, force: str | None = None, is_dry_run: bool = False) -> SwitchResult:
        """The same in the opposite direction."""
        ...

    async def finish(self, *, by: str, is_dry_run: bool = False) -> str | None:
        """Stops the reverse mirror; returns the path of the evidence file. Raises Conflict with the red guards.

        A dry run only checks the guards and returns None.
        """
        ...

    async def retire(self, *, by: str) -> None:
        """Releases the former owner, which was kept as a backup: it takes part in this installation no more."""
        ...

    async def pause(self, *, is_paused: bool, by: str, is_dry_run: bool = False) -> None:
        """Pauses or resumes the backfill, in whichever process it runs. A dry run only checks that one does."""
        ...


Work = Callable[[OnProgress], Awaitable[Any]]
