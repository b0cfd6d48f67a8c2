"""What stands in the way of a move beside the records: clocks, disks, privileges, and tables changed by hand."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from adapters.migration.census_checks import Trouble
from adapters.records.described import Described
from adapters.records.record_store import RecordStore
from adapters.records.revisions import Accessed, Examined
from application.ports.clock import Clock
from application.ports.health import CLOCK_SECONDS_MAX
from application.ports.migration import Finding
from application.ports.schema import FlawEffect

GROWTH: Final = 3
"""By how much more a copy may occupy than its source: indexes and search tokens, in another format."""

ALTERED = Trouble(
    "schema_altered",
    "The tables of the {store} store are not as the migrations made them. {detail}",
    "Then look again: tandem move preflight",
)
NO_PRIVILEGE = Trouble("no_privilege", "{detail}", "Then look again: tandem move preflight")
CLOCK = Trouble(
    "clock",
    "The clock of the {store} store and that of this machine differ by {detail} s. Times that people read would jump at"
    " the move.",
    "On both machines, type: timedatectl set-ntp true",
    blocks=False,
)
DISK_FULL = Trouble(
    "disk",
    "The source occupies {detail}, and the {store} store has less room, with what it holds already.",
    "Make room, or give the {store} store a larger disk.",
)
DISK_SHORT = Trouble(
    "disk",
    f"The source occupies {{detail}}, and the {{store}} store has less than {GROWTH} times as much room, with what"
    " it holds already. With indexes and search tokens a copy may need it.",
    "Make room, or watch the disk during the backfill.",
    blocks=False,
)
DISK_UNKNOWN = Trouble(
    "disk_not_checked",
    "The source occupies {detail}. The server of the {store} store does not say how much room its disk has.",
    f"Look at its machine: a copy may need {GROWTH} times as much.",
    blocks=False,
)


class Circumstances:
    """Looks at both stores of a move; `target` is None where there is none, and then only the source is looked at."""

    def __init__(self, source: RecordStore, target: RecordStore | None, *, clock: Clock) -> None:
        self._source, self._target = source, target
        self._clock = clock

    async def findings(self) -> tuple[Finding, ...]:
        """Everything that was found, what blocks first. Raises StoreUnavailable."""
        found: list[Finding] = []
        for store in (self._source, self._target):
            if store is not None:
                found += [one async for one in self._in_store(store)]
        found += [one async for one in self._disk()]
        return tuple(sorted(found, key=lambda one: not one.blocks))

    async def _in_store(self, store: RecordStore) -> AsyncIterator[Finding]:
        if isinstance(store, Examined):
            # The census names what nobody can read.
            for flaw in [one for one in await store.flaws() if one.effect is not FlawEffect.UNREADABLE]:
                trouble = replace(ALTERED, blocks=flaw.effect is not FlawEffect.SLOW)
                yield _finding(trouble, store, f"{flaw.cause} {flaw.remedy}".rstrip())
        if isinstance(store, Accessed):
            for detail in await store.missing_privileges():
                yield _finding(NO_PRIVILEGE, store, detail)
        if isinstance(store, Described):
            before = self._clock.now()
            facts = await store.facts()
            apart = facts.seconds_apart(before, self._clock.now())
            if apart > CLOCK_SECONDS_MAX:
                yield _finding(CLOCK, store, f"{apart:.0f}")

    async def _disk(self) -> AsyncIterator[Finding]:
        source, target = self._source, self._target
        if target is None or not isinstance(source, Described) or not isinstance(target, Described):
            return
        needed, held = (await source.space()).used, await target.space()
        size = f"{needed / 1024**2:,.0f} MiB"
        if held.free is None:
            yield _finding(DISK_UNKNOWN, target, size)
        elif (room := held.used + held.free) < GROWTH * needed:
            yield _finding(DISK_FULL if room < needed else DISK_SHORT, target, size)


def _finding(trouble: Trouble, store: RecordStore, detail: str) -> Finding:
    return Finding(
        code=trouble.code,
        collection=None,
        count=1,
        samples=(),
        consequence=trouble.consequence.format(store=store.name, detail=detail),
        remedy=trouble.remedy.format(store=store.name),
        blocks=trouble.blocks,
    )
