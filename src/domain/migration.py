"""The phases of a live migration, and which step each phase allows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from domain.errors import Conflict

PERCENT_MAX = 100


class Phase(StrEnum):
    """How far an installation has moved from one store to the other."""

    SINGLE = "single"
    """There is one store."""
    MIRRORING = "mirroring"
    """New writes reach the target; what is older may be missing there."""
    BACKFILLED = "backfilled"
    """The target has been given everything that the source held."""
    VERIFIED = "verified"
    """Both stores were compared in full and hold equal records."""
    READING = "reading"
    """Some reads are answered, or checked, by the target."""
    CUT_OVER = "cut over"
    """The former target owns the writes, and the former source is its mirror."""
    FINISHED = "finished"
    """The reverse mirror is stopped; the former owner stays as a backup."""


class Step(StrEnum):
    """What an operator can do."""

    BACKFILL = "backfill"
    PAUSE = "pause"
    RESUME = "resume"
    VERIFY = "verify"
    REPAIR = "repair"
    ROUTE = "route"
    REHEARSE = "rehearse"
    CUT_OVER = "cutover"
    ROLL_BACK = "rollback"
    FINISH = "finish"
    RETIRE = "retire"
    RECOVER = "recover"


_MIRRORED = frozenset({Phase.MIRRORING, Phase.BACKFILLED, Phase.VERIFIED, Phase.READING, Phase.CUT_OVER})

ALLOWED: Mapping[Step, frozenset[Phase]] = {
    Step.BACKFILL: _MIRRORED,
    Step.PAUSE: _MIRRORED,
    Step.RESUME: _MIRRORED,
    Step.VERIFY: _MIRRORED,
    Step.REPAIR: _MIRRORED,
    Step.ROUTE: frozenset({Phase.VERIFIED, Phase.READING}),
    Step.REHEARSE: frozenset({Phase.VERIFIED, Phase.READING}),
    Step.CUT_OVER: frozenset({Phase.VERIFIED, Phase.READING}),
    Step.ROLL_BACK: frozenset({Phase.CUT_OVER}),
    Step.FINISH: frozenset({Phase.CUT_OVER}),
    Step.RETIRE: frozenset({Phase.FINISHED}),
    Step.RECOVER: _MIRRORED,
}

NEXT: Mapping[Phase, str] = {
    Phase.SINGLE: "Name a target first: set STORE=dual and start Tandem again.",
    Phase.MIRRORING: "Run `tandem move backfill`.",
    Phase.BACKFILLED: "Run `tandem move verify --full`.",
    Phase.VERIFIED: "Run `tandem move rehearse`, then `tandem move cutover`.",
    Phase.READING: "Run `tandem move rehearse`, then `tandem move cutover`.",
    Phase.CUT_OVER: "Run `tandem move rollback` to go back, or `tandem move verify --full`, then `tandem move finish`.",
    Phase.FINISHED: "The move is finished. Run `tandem move retire` once the former store is no longer needed.",
}
"""What an operator types next, by phase."""
NO_TARGET = f"There is no second store. {NEXT[Phase.SINGLE]}"


def require_step(phase: Phase, step: Step) -> None:
    """Raises Conflict, with the phase and the command that helps, unless the phase allows the step."""
    if phase not in ALLOWED[step]:
        raise Conflict(f"`{step}` is not possible in phase `{phase}`. {NEXT[phase]}")


@dataclass(frozen=True, slots=True)
class Route:
    """Which store answers the reads of a collection.

    `shadow_percent` of the callers have their reads repeated by the target, to compare them; `target_percent` of the
    callers are answered by the target. `since`: from when on the target has had a part in it without interruption.
    """

    shadow_percent: int = 0
    target_percent: int = 0
    since: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for percent in (self.shadow_percent, self.target_percent):
            if not 0 <= percent <= PERCENT_MAX:
                raise ValueError(f"a percentage is between 0 and {PERCENT_MAX}, not {percent}")

    @property
    def is_plain(self) -> bool:
        """Whether the source answers everything, and nothing is compared."""
        return self.shadow_percent == 0 and self.target_percent == 0

    def replacing(self, former: "Route | None", *, now: datetime) -> "Route":
        """This route in place of another one of the same collection."""
        is_going_on = former is not None and not former.is_plain
        return replace(self, since=former.since if former is not None and is_going_on else now)
