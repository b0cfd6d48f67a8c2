"""What happens in one scenario: its stores, and the faults of each stage. All of it follows from the seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

FAULTY_SHARE: Final = 0.55
"""How many of the stages meet a fault."""
RESTORED_SHARE: Final = 0.3
"""How many of the scenarios restore a target from an older copy."""
FOR_SECONDS_MIN, FOR_SECONDS_MAX = 0.2, 2.5


class Stage(StrEnum):
    """The steps of the whole way, in their order."""

    BACKFILL = "backfill"
    VERIFY = "verify"
    REHEARSE = "rehearse"
    CUT_OVER = "cut-over"
    WRITES = "writes"
    ROLL_BACK = "rollback"
    VERIFY_AGAIN = "second verification"
    CUT_OVER_AGAIN = "second cut-over"
    VERIFY_LAST = "last verification"
    FINISH = "finish"


SWITCHES: Final = frozenset({Stage.CUT_OVER, Stage.ROLL_BACK, Stage.CUT_OVER_AGAIN})
OWNED_BY_POSTGRES: Final = frozenset({Stage.WRITES, Stage.VERIFY_LAST, Stage.FINISH})
"""Stages in which PostgreSQL owns the writes from their beginning to their end."""


class Fault(StrEnum):
    """Something that goes wrong for a moment."""

    KILL_COORDINATOR = "coordinator killed"
    KILL_OTHER = "other service killed"
    FREEZE_OTHER = "other service frozen"
    KILL_WORKER = "worker killed"
    FREEZE_WORKER = "worker frozen"
    KILL_POSTGRES = "PostgreSQL killed"
    FREEZE_POSTGRES = "PostgreSQL frozen"
    CUT_POSTGRES = "connections to PostgreSQL cut"
    DROP_POSTGRES = "answer of PostgreSQL dropped"
    DELAY_POSTGRES = "PostgreSQL delayed"
    PART_POSTGRES = "PostgreSQL unreachable"
    KILL_MONGO = "MongoDB killed"
    FREEZE_MONGO = "MongoDB frozen"
    CUT_MONGO = "connections to MongoDB cut"
    DROP_MONGO = "answer of MongoDB dropped"
    DELAY_MONGO = "MongoDB delayed"
    PART_MONGO = "MongoDB unreachable"
    RESTORE_TARGET = "target restored from an older copy"


NEEDS_MONGO: Final = frozenset(
    {fault for fault in Fault if "MONGO" in fault.name}
    | {Fault.KILL_OTHER, Fault.FREEZE_OTHER, Fault.KILL_WORKER, Fault.FREEZE_WORKER}
)
"""Faults of parts that exist only where the source is MongoDB: MontyDB belongs to one process."""
SPARES_REQUESTS: Final = frozenset({Fault.FREEZE_OTHER, Fault.KILL_WORKER, Fault.FREEZE_WORKER})
"""Faults during which no request may fail."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault, how long after the beginning of its stage it happens, and how long it lasts."""

    fault: Fault
    after_seconds: float
    for_seconds: float

    def __str__(self) -> str:
        return f"{self.fault} after {self.after_seconds:.2f} s for {self.for_seconds:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run. `copied`: the stage at whose beginning the copy is taken from which a target is restored later."""

    seed: int
    source: str
    plan: Mapping[Stage, Planned]
    copied: Stage | None = None

    def of(self, stage: Stage) -> Planned | None:
        """The fault of a stage."""
        return self.plan.get(stage)

    def without_faults(self) -> "Scenario":
        """The same stores and the same load."""
        return Scenario(seed=self.seed, source=self.source, plan={})

    def described(self) -> Sequence[str]:
        """The faults, stage by stage."""
        faults = [f"{stage}: {planned}" for stage, planned in self.plan.items()]
        return faults if self.copied is None else [f"{self.copied}: copied", *faults]


def drawn(seed: int, *, source: str | None = None) -> Scenario:
    """The scenario of this seed. Even seeds have MontyDB as their source, odd ones MongoDB, unless one is named."""
    random = Random(seed)
    chosen = source or ("mongo" if seed % 2 else "monty")
    faults = [
        fault
        for fault in Fault
        if fault is not Fault.RESTORE_TARGET and (chosen == "mongo" or fault not in NEEDS_MONGO)
    ]
    plan = {
        stage: _planned(random, random.choice(faults), stage)
        for stage in Stage
        if random.random() < FAULTY_SHARE
    }
    copied, restored = _restoration(random)
    if restored is None:
        return Scenario(seed=seed, source=chosen, plan=plan)
    plan[restored] = _planned(random, Fault.RESTORE_TARGET, restored)
    return Scenario(seed=seed, source=chosen, plan=plan, copied=copied)


def _planned(random: Random, fault: Fault, stage: Stage) -> Planned:
    """A switch takes some tenths of a second under load, a long step one or two."""
    within_seconds = 0.6 if stage in SWITCHES or stage is Stage.REHEARSE else 1.2
    return Planned(fault, random.uniform(0, within_seconds), random.uniform(FOR_SECONDS_MIN, FOR_SECONDS_MAX))


def _restoration(random: Random) -> tuple[Stage | None, Stage | None]:
    """Two stages: the same store is the target of the later one, and nothing moves while it is restored."""
    if random.random() >= RESTORED_SHARE:
        return None, None
    ways = [
        (Stage.BACKFILL, Stage.VERIFY),
        (Stage.VERIFY, Stage.REHEARSE),
        (Stage.REHEARSE, Stage.WRITES),
        (Stage.CUT_OVER, Stage.WRITES),
        (Stage.VERIFY, Stage.VERIFY_AGAIN),
        (Stage.WRITES, Stage.VERIFY_AGAIN),
        (Stage.VERIFY_AGAIN, Stage.VERIFY_LAST),
    ]
    return random.choice(ways)
