"""Which process runs a backfill, and whether it is paused: a control record of the source, so that any process can ask
for a pause.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from adapters.ownership.comparison import shows_life
from adapters.records.control_records import read_control, write_control
from adapters.records.lanes import Positions, ProcessIdentity
from adapters.records.record_store import RecordStore
from domain.errors import Conflict, StoreUnavailable, VersionConflict

RUN_ID = "backfill-run"
RACES_MAX = 5
NO_BACKFILL = (
    "No backfill runs in any process of this installation, so there is nothing to pause or to resume."
)

IsGone = Callable[[ProcessIdentity], bool]


@dataclass(frozen=True, slots=True)
class BackfillRun:
    """A backfill that was begun and has not ended in order: `by` may have been killed since.

    `id` is new for each run. `is_shared`: other processes may load ranges of it.
    """

    by: ProcessIdentity
    id: str
    is_paused: bool = False
    is_shared: bool = False

    def is_alive(self, source: Positions, *, is_gone: IsGone) -> bool:
        """Whether the process still shows itself in the source."""
        return is_alive(self.by, source, is_gone=is_gone)


def is_alive(by: ProcessIdentity, source: Positions, *, is_gone: IsGone) -> bool:
    """Whether a process still shows itself in the source."""
    if is_gone(by):
        return False
    return any(lane.by.process == by.process and shows_life(lane) for lane in source.lanes.values())


async def run_of(source: RecordStore) -> BackfillRun | None:
    """The backfill that was begun last; None if it has ended. Raises StoreUnavailable."""
    _, value = await read_control(source, RUN_ID)
    return _run(value)


async def begin_run(source: RecordStore, positions: Positions, run: BackfillRun, *, is_gone: IsGone) -> None:
    """Notes that this process runs a backfill. Raises Conflict if another one does, and StoreUnavailable."""

    def begun(found: BackfillRun | None) -> BackfillRun:
        is_other = found is not None and found.by.process != run.by.process
        if found is not None and is_other and found.is_alive(positions, is_gone=is_gone):
            raise Conflict(
                f"A backfill is under way in {found.by}. Wait until it ends, or stop that process: tandem move status"
            )
        return run

    await _change(source, begun)


async def end_run(source: RecordStore, run: BackfillRun) -> None:
    """Notes that this run has ended; harmless if another one was begun since. Raises StoreUnavailable."""
    await _change(source, lambda found: None if found is None or found.id == run.id else found)


async def pause_run(source: RecordStore, positions: Positions, *, is_paused: bool, is_gone: IsGone) -> None:
    """Asks the process that runs a backfill to pause it, or to go on. Raises as `require_run` does."""
    await require_run(source, positions, is_gone=is_gone)

    def changed(found: BackfillRun | None) -> BackfillRun:
        if found is None:
            raise Conflict(NO_BACKFILL)
        return replace(found, is_paused=is_paused)

    await _change(source, changed)


async def require_run(source: RecordStore, positions: Positions, *, is_gone: IsGone) -> None:
    """Raises Conflict unless a process runs a backfill, and StoreUnavailable."""
    found = await run_of(source)
    if found is None:
        raise Conflict(NO_BACKFILL)
    if not found.is_alive(positions, is_gone=is_gone):
        raise Conflict(f"The backfill ended together with {found.by}. Continue it: tandem move backfill")


async def _change(source: RecordStore, changed: Callable[[BackfillRun | None], BackfillRun | None]) -> None:
    for _ in range(RACES_MAX):
        version, value = await read_control(source, RUN_ID)
        found = _run(value)
        run = changed(found)
        if run == found:
            return
        try:
            await write_control(source, RUN_ID, {"run": _value(run)}, over=version)
        except VersionConflict:
            continue
        return
    raise StoreUnavailable("Other processes keep changing the state of the backfill; try again in a moment.")


def _run(value: dict[str, object] | None) -> BackfillRun | None:
    run = None if value is None else value["run"]
    if not isinstance(run, dict):
        return None
    by = ProcessIdentity(**run["by"])
    return BackfillRun(by, run["id"], is_paused=run["isPaused"], is_shared=run["isShared"])


def _value(run: BackfillRun | None) -> dict[str, object] | None:
    if run is None:
        return None
    return {"by": asdict(run.by), "id": run.id, "isPaused": run.is_paused, "isShared": run.is_shared}
