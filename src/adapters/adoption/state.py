"""How far an adoption is: a control record of the store that takes the records over."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from adapters.records.control_records import read_control
from adapters.records.record import ID, VERSION, Record, instant_text
from adapters.records.record_store import RecordStore

ADOPTION_ID: Final = "adoption"


class State(StrEnum):
    """How far the adoption is, in its control record."""

    RUNNING = "RUNNING"
    DONE = "DONE"


async def adoption_state(store: RecordStore) -> State | None:
    """How far the adoption in this store is; None without one. Raises StoreUnavailable."""
    _, value = await read_control(store, ADOPTION_ID)
    return None if value is None else State(value["state"])


def running_note(database: str, at: datetime) -> Record:
    """The first control record of an adoption that begins at this time."""
    return {ID: ADOPTION_ID, VERSION: 1, "value": noted(database, State.RUNNING, at)}


def noted(database: str, state: State, at: datetime) -> dict[str, Any]:
    """The value of the control record."""
    return {"database": database, "state": state.value, "at": instant_text(at)}
