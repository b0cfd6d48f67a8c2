"""The steps of the move so far: who did what and when, in a control record that goes with the ownership."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adapters.migration.carried import STEPS_ID
from adapters.records.control_records import read_control, write_control
from adapters.records.record_store import RecordStore
from application.ports.migration import StepTaken
from domain.errors import StoreUnavailable, VersionConflict

STEPS_MAX = 500
"""Beyond it, the oldest steps are left out."""
RACES_MAX = 5
SHADOW_STEP = "shadow"
"""The step that a process takes by itself: a shadow read differed, or a collection is routed no more."""


async def steps_of(store: RecordStore) -> tuple[StepTaken, ...]:
    """The steps, oldest first. Raises StoreUnavailable."""
    _, steps = await _held(store)
    return tuple(map(_step, steps))


async def note_step(store: RecordStore, taken: StepTaken) -> None:
    """Adds a step. Raises StoreUnavailable."""
    for _ in range(RACES_MAX):
        version, steps = await _held(store)
        newest = [*steps, _value(taken)][-STEPS_MAX:]
        try:
            await write_control(store, STEPS_ID, {"steps": newest}, over=version)
        except VersionConflict:
            continue
        return
    raise StoreUnavailable("Other processes keep taking steps of the move; try again in a moment.")


async def _held(store: RecordStore) -> tuple[int, list[dict[str, Any]]]:
    version, value = await read_control(store, STEPS_ID)
    return version, [] if value is None else value["steps"]


def _value(taken: StepTaken) -> dict[str, Any]:
    return {
        "step": taken.step,
        "at": taken.at.isoformat(),
        "by": taken.by,
        "detail": taken.detail,
        "pauseMs": taken.pause_ms,
    }


def _step(value: Mapping[str, Any]) -> StepTaken:
    at = datetime.fromisoformat(value["at"])
    return StepTaken(
        step=value["step"],
        at=at,
        by=value["by"],
        detail=value["detail"],
        pause_ms=value.get("pauseMs"),
    )
