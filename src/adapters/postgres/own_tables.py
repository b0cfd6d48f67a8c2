"""The mirror's own tables: where they cannot be used, nothing can be stored, and no record is to blame."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from adapters.postgres.classification import Meaning, cause_of, meaning_of
from adapters.postgres.connections import Connections
from adapters.postgres.errors import LANES_TABLE
from adapters.postgres.execution import Parameters
from adapters.postgres.lane_statements import arrival_parameters, arrival_parts, laned
from adapters.records.change_set import ChangeSet
from adapters.records.lane_slots import Slot
from adapters.records.lanes import LaneLost, seen_in
from domain.errors import StoreUnavailable, TandemError

SEEN_TABLE = "tandem_seen"
USABLE_SECONDS = 1.0
"""How long tables that could be used are not looked into again, while one rejected row after another is isolated."""
STATES_MAX = 256
LOCKED_SECONDS_MAX = 10.0
"""How long a lock on one of them is taken for that of another change set, which is slow."""


class OwnTables:
    """Proves that what is written with every change set can be written without any. Everything is rolled back."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._usable: dict[str | None, float] = {}
        """When they could be used although a change set got this SQLSTATE, by the loop's clock."""
        self._locked_since: float | None = None

    async def require_usable(
        self, change_sets: Sequence[ChangeSet], slot: Slot | None, *, after: str | None
    ) -> None:
        """Raises StoreUnavailable, with the table and the server's words, where one of them cannot be used.

        `after` is the SQLSTATE that the change sets got. Raises LaneLost where the slot's lane is lost.
        """
        now = asyncio.get_running_loop().time()
        if now - self._usable.get(after, -USABLE_SECONDS) < USABLE_SECONDS:
            return
        try:
            for table, statement, parameters in _arrivals(change_sets, slot):
                await self._rehearse(table, statement, parameters)
        except StoreUnavailable as error:
            if not self._is_locked_briefly(error, now):
                raise
            return
        self._locked_since = None
        if len(self._usable) >= STATES_MAX:
            self._usable.clear()
        self._usable[after] = now

    def _is_locked_briefly(self, error: StoreUnavailable, now: float) -> bool:
        """Whether another change set may hold the row: one that is slow after it has raised what was seen."""
        cause = error.__cause__
        if not isinstance(cause, TandemError) or meaning_of(cause) is not Meaning.LOCK:
            return False
        if self._locked_since is None or now - self._locked_since > 2 * LOCKED_SECONDS_MAX:
            self._locked_since = now
        return now - self._locked_since < LOCKED_SECONDS_MAX

    async def _rehearse(self, table: str, statement: str, parameters: Parameters) -> None:
        with naming(table):
            async with self._connections.transaction(is_rehearsal=True) as transaction:
                await transaction.run(statement, parameters)


@contextmanager
def naming(table: str) -> Iterator[None]:
    """Turns an error of a statement about one of these tables into StoreUnavailable, with its name and the server's
    words. LaneLost and outages pass unchanged.
    """
    try:
        yield
    except LaneLost:
        raise
    except TandemError as error:
        if meaning_of(error) in (Meaning.OUTAGE, Meaning.LOST, Meaning.SILENT, Meaning.CLAIM):
            raise
        cause = cause_of(error, ())
        raise StoreUnavailable(f"{table} cannot be used, and every change needs it: {cause}") from error


def _arrivals(
    change_sets: Sequence[ChangeSet], slot: Slot | None
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """What is written with these besides their rows: each table, with its statement and parameters."""
    if slot is not None and slot.is_usable:
        advance = arrival_parts(has_lane=True, has_seen=False, is_named=True)
        yield LANES_TABLE, laned("SELECT 1", advance), arrival_parameters(slot.next, {})
    if seen := seen_in(change_sets):
        raise_seen = arrival_parts(has_lane=False, has_seen=True, is_named=True)
        yield SEEN_TABLE, laned("SELECT 1", raise_seen), arrival_parameters(None, seen)
