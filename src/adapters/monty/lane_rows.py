"""The lane of this process in the SQLite file, and what the file has seen of the lanes of other stores."""

import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from adapters.monty.read_connections import ReadConnections
from adapters.monty.tables import TABLES
from adapters.monty.writes import Transaction, Write
from adapters.records.lanes import OWNERSHIP_ID, Admission, Lane, LaneLost, Positions, ProcessIdentity, Seen
from adapters.records.specs import CONTROL

_REGISTER = "INSERT INTO lanes VALUES (?, 0, ?, ?, ?, ?, ?, ?, 1, ?, 0)"
_ADVANCE = "UPDATE lanes SET number = ? WHERE lane = ? AND number = ? AND is_open"
_REMOVE_UNUSED = "DELETE FROM lanes WHERE lane = ? AND number = 0"
_CLOSE = "UPDATE lanes SET is_open = 0 WHERE lane = ?"
_BEAT = "UPDATE lanes SET beaten_at = ? WHERE process = ? AND is_open"
_NUMBER_OF = "SELECT number FROM lanes WHERE lane = ?"
_LANES = "SELECT lane, number, is_checkpointed, is_open, epoch, opening, process, host, boot, pid, beaten_at FROM lanes"
_SEEN = "SELECT lane, number, is_checkpointed, NULL, cut, NULL, NULL, NULL, NULL, NULL, NULL FROM seen"
_ALL_POSITIONS = f"{_LANES} UNION ALL {_SEEN}"
_POSITIONS = f"{_LANES} WHERE NOT is_checkpointed UNION ALL {_SEEN} WHERE NOT is_checkpointed"
_CHECKPOINT = "UPDATE lanes SET is_checkpointed = 1 WHERE lane = ? AND number = ? AND NOT is_open"
_ADD_CHECKPOINT = "INSERT INTO lanes VALUES (?, 1, 0, '', '', '', '', 0, 0, ?, 0)"
_CHECKPOINT_SEEN = "UPDATE seen SET is_checkpointed = 1 WHERE lane = ? AND number <= ?"
_SEE_CHECKPOINT = "INSERT OR IGNORE INTO seen(lane, number) VALUES (?, 1)"
_CLEAR = "UPDATE seen SET is_checkpointed = 0 WHERE is_checkpointed"
_CUT = (
    "UPDATE seen SET cut = min(ifnull(cut, given), given) FROM (SELECT ? AS given, ? AS of) WHERE lane = of"
)
_LOWER = "UPDATE seen SET number = min(number, ?) WHERE lane = ?"


def advance(transaction: Transaction, lane: int, *, since: int, to: int) -> None:
    """Moves a lane to a number in the transaction that gave it. Raises LaneLost."""
    if transaction.execute(_ADVANCE, (to, lane, since)).rowcount != 1:
        raise LaneLost


def register_write(lane: int, admission: Admission, *, previous: int | None) -> Write:
    """The write that registers a lane, and closes the previous one of this process.

    It raises LaneLost where the control record is another one meanwhile.
    """

    def run(transaction: Transaction) -> None:
        if previous is not None:
            _close(transaction, previous)
        stored = transaction.stored(TABLES[CONTROL.collection], OWNERSHIP_ID)
        if stored is None or stored[1] != admission.token:
            raise LaneLost
        by = admission.by
        identity = (by.process, by.host, by.boot, by.pid)
        values = (lane, admission.epoch, admission.opening, *identity, time.time())
        transaction.execute(_REGISTER, values)

    return run


class MontyLanes:
    """StoredLanes in the SQLite file."""

    def __init__(
        self, submit: Callable[[Write], Awaitable[None]], reads: Callable[[], ReadConnections]
    ) -> None:
        self._submit = submit
        self._reads = reads

    async def close(self, lane: int) -> int:
        """See StoredLanes."""
        await self._submit(lambda transaction: _close(transaction, lane))
        return await self._reads().soon(_number_of, lane)

    async def beat(self, process: str) -> None:
        """See StoredLanes."""

        def run(transaction: Transaction) -> None:
            transaction.execute(_BEAT, (time.time(), process))

        await self._submit(run)

    async def positions(self, *, with_checkpointed: bool) -> Positions:
        """See LanedStore."""
        return await self._reads().soon(partial(_positions, with_checkpointed=with_checkpointed))

    async def add_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> bool:
        """See LanedStore."""

        def run(transaction: Transaction) -> None:
            for given in numbers.items():
                if transaction.execute(_CHECKPOINT, given).rowcount != 1:
                    raise _NotClosed
            transaction.execute(_ADD_CHECKPOINT, (checkpoint, time.time()))

        try:
            await self._submit(run)
        except _NotClosed:
            return False
        return True

    async def see_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> None:
        """See LanedStore."""

        def run(transaction: Transaction) -> None:
            for given in numbers.items():
                transaction.execute(_CHECKPOINT_SEEN, given)
            transaction.execute(_SEE_CHECKPOINT, (checkpoint,))

        await self._submit(run)

    async def cut(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""

        def run(transaction: Transaction) -> None:
            transaction.execute(_CLEAR)
            _run_each(transaction, _CUT, numbers)

        await self._submit(run)

    async def lower(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        await self._submit(lambda transaction: _run_each(transaction, _LOWER, numbers))


class _NotClosed(Exception):
    """A lane for a checkpoint is not closed at its number."""


def _number_of(connection: sqlite3.Connection, lane: int) -> int:
    row = connection.execute(_NUMBER_OF, (lane,)).fetchone()
    return 0 if row is None else int(row[0])


def _positions(connection: sqlite3.Connection, *, with_checkpointed: bool) -> Positions:
    now = time.time()
    lanes, seen = {}, {}
    rows = connection.execute(_ALL_POSITIONS if with_checkpointed else _POSITIONS)
    for lane, number, is_checkpointed, is_open, epoch, opening, *identity, beaten_at in rows:
        if is_open is None:
            seen[lane] = Seen(number, cut=epoch, is_checkpointed=bool(is_checkpointed))
            continue
        lanes[lane] = Lane(
            lane=lane,
            number=number,
            is_open=bool(is_open),
            epoch=epoch,
            opening=opening,
            by=ProcessIdentity(*identity),
            silent_seconds=now - beaten_at,
            is_checkpointed=bool(is_checkpointed),
        )
    return Positions(lanes, seen)


def _close(transaction: Transaction, lane: int) -> None:
    transaction.execute(_REMOVE_UNUSED, (lane,))
    transaction.execute(_CLOSE, (lane,))


def _run_each(transaction: Transaction, statement: str, numbers: Mapping[int, int]) -> None:
    for lane, number in numbers.items():
        transaction.execute(statement, (number, lane))
