"""What a store keeps of an adoption in its control records: how far it is, and the documents in quarantine."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from adapters.records.control_records import read_control
from adapters.records.record import ID, VERSION, Record, instant_text
from adapters.records.record_store import RecordStore

ADOPTION_ID: Final = "adoption"
ADOPTION_QUARANTINE: Final = "adoption-quarantine:"
"""Begins the ids of the control records that keep a document in quarantine."""
IS_RESOLVED: Final = "isResolved"
"""The field of those control records that says whether the document was taken over or removed since."""
STATE: Final = "state"
"""The field of the control record that says how far the adoption is."""


class State(StrEnum):
    """How far the adoption is, in its control record."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    GIVEN_UP = "GIVEN_UP"
    """It began, and then the store took over the records of an owner that adopted nothing."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """The database that a store adopts or has adopted, since when, and how far the adoption is."""

    database: str
    state: State
    at: datetime


async def adopted_in(store: RecordStore) -> Adopted | None:
    """The adoption in this store; None without one. Raises StoreUnavailable."""
    _, value = await read_control(store, ADOPTION_ID)
    if value is None or value[STATE] == State.GIVEN_UP:
        return None
    return Adopted(value["database"], State(value[STATE]), datetime.fromisoformat(value["at"]))


async def adoption_state(store: RecordStore) -> State | None:
    """How far the adoption in this store is; None without one. Raises StoreUnavailable."""
    held = await adopted_in(store)
    return None if held is None else held.state


def running_note(database: str, at: datetime) -> Record:
    """The first control record of an adoption that begins at this time."""
    return {ID: ADOPTION_ID, VERSION: 1, "value": noted(database, State.RUNNING, at)}


def noted(database: str, state: State, at: datetime) -> dict[str, Any]:
    """The value of the control record."""
    return {"database": database, STATE: state.value, "at": instant_text(at)}
