"""The mirror's own tables: where they cannot be used, nothing can be stored, and no record is to blame."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from adapters.postgres.classification import Meaning, cause_and_state_of, meaning_of
from adapters.postgres.connections import Connections
from adapters.postgres.errors import LANES_TABLE, Contention, RowLocked
from adapters.postgres.execution import Parameters
from adapters.postgres.lane_statements import arrival_parameters, arrival_parts, laned
from adapters.postgres.table_locks import table_of_locked_row
from adapters.records.change_set import ChangeSet
from adapters.records.lane_slots import Slot
from adapters.records.lanes import LaneLost, seen_in
from domain.errors import StoreUnavailable, TandemError

SEEN_TABLE = "tandem_seen"
USABLE_SECONDS = 1.0
"""How long tables that could be used are not looked into again, while one rejected row after another is isolated."""
STATES_MAX = 256
_NO_LANES: dict[str, object] = {"seen_lanes": [], "seen_numbers": []}
_RAISE_SEEN = laned("SELECT 1", arrival_parts(has_lane=False, has_seen=True, is_named=True))


class OwnTables:
    """Proves that what is written with every change set can be written without any. Everything is rolled back."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._usable: dict[str | None, float] = {}
        """When they could be used although a change set got this SQLSTATE, by the loop's clock."""

    async def require_usable(
        self, change_sets: Sequence[ChangeSet], slot: Slot | None, *, after: str | None
    ) -> None:
        """Raises StoreUnavailable, with the table and the server's words, where one of them cannot be used.

        `after` is the SQLSTATE that the change sets got. Raises LaneLost where the slot's lane is lost.
        """
        now = asyncio.get_running_loop().time()
        if now - self._usable.get(after, -USABLE_SECONDS) < USABLE_SECONDS:
            return
        for table, statement, parameters in _arrivals(change_sets, slot):
            try:
                await self._rehearse(table, statement, parameters)
            except StoreUnavailable as error:
                if table != SEEN_TABLE or not _is_locked(error):
                    raise
                # Another change set may hold this row: one that is slow after it has raised what was seen.
                await self._rehearse(SEEN_TABLE, _RAISE_SEEN, _NO_LANES)
                return
        if len(self._usable) >= STATES_MAX:
            self._usable.clear()
        self._usable[after] = now

    async def _rehearse(self, table: str, statement: str, parameters: Parameters) -> None:
        with naming(table):
            async with self._connections.transaction(is_rehearsal=True) as transaction:
                await transaction.run(statement, parameters)


def _is_locked(error: StoreUnavailable) -> bool:
    return isinstance(error.__cause__, TandemError) and meaning_of(error.__cause__) is Meaning.LOCK


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
        if isinstance(error, RowLocked) or (isinstance(error, Contention) and table_of_locked_row(error)):
            # The row may be that of another table that the statement reads.
            raise StoreUnavailable(f"{error.message} Every change needs it.") from error
        cause = cause_and_state_of(error, ())
        raise StoreUnavailable(f"{table} cannot be used, and every change needs it: {cause}") from error


def _arrivals(
    change_sets: Sequence[ChangeSet], slot: Slot | None
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """What is written with these besides their rows: each table, with its statement and parameters."""
    if slot is not None and slot.is_usable:
        advance = arrival_parts(has_lane=True, has_seen=False, is_named=True)
        yield LANES_TABLE, laned("SELECT 1", advance), arrival_parameters(slot.next, {})
    if seen := seen_in(change_sets):
        yield SEEN_TABLE, _RAISE_SEEN, arrival_parameters(None, seen)
