"""The lanes of this store, and what it has seen of the lanes of others."""

from collections.abc import Mapping

from adapters.postgres.connections import Connections, Transaction
from adapters.postgres.contention import retried
from adapters.postgres.errors import LANES_TABLE
from adapters.postgres.own_tables import naming
from adapters.records.lane_slots import Slot
from adapters.records.lanes import OWNERSHIP_ID, Admission, Lane, LaneLost, Positions, ProcessIdentity, Seen

_REGISTER = """
    INSERT INTO tandem_lanes (lane, number, epoch, pid, opening, process, host, boot, is_open, beaten_at)
    SELECT %s::bigint, 0, %s::bigint, %s::bigint, %s, %s, %s, %s, true, clock_timestamp()
    FROM (SELECT FROM tandem_control WHERE mongo_id = %s AND version = %s::bigint FOR SHARE) AS held
"""
_ADVANCE = "UPDATE tandem_lanes SET number = number + 1 WHERE lane = %s AND number = %s AND is_open"
_IS_HELD = "SELECT FROM tandem_lanes WHERE lane = %s AND number = %s AND is_open"
_CLOSE = """
    WITH unused AS (DELETE FROM tandem_lanes WHERE lane = %(lane)s::bigint AND number = 0 RETURNING lane)
    UPDATE tandem_lanes SET is_open = false
    WHERE lane = %(lane)s::bigint AND NOT EXISTS (SELECT FROM unused) RETURNING number
"""
_BEAT = "UPDATE tandem_lanes SET beaten_at = clock_timestamp() WHERE process = %s AND is_open"
_ALL_POSITIONS = """
    SELECT lane, number, is_checkpointed, is_open, epoch, opening, process, host, boot, pid,
           extract(epoch FROM clock_timestamp() - beaten_at)::float8, NULL
    FROM tandem_lanes
    UNION ALL
    SELECT lane, number, is_checkpointed, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, cut FROM tandem_seen
"""
_POSITIONS = (
    "WHERE NOT is_checkpointed UNION".join(_ALL_POSITIONS.rstrip().split("UNION"))
    + " WHERE NOT is_checkpointed"
)
_CHECKPOINT = """
    UPDATE tandem_lanes SET is_checkpointed = true FROM unnest(%s::bigint[], %s::bigint[]) AS given (lane, number)
    WHERE tandem_lanes.lane = given.lane AND tandem_lanes.number = given.number AND NOT is_open
"""
_ADD_CHECKPOINT = """
    INSERT INTO tandem_lanes (lane, number, epoch, pid, opening, process, host, boot, is_open, beaten_at)
    VALUES (%s, 1, 0, 0, '', '', '', '', false, clock_timestamp())
"""
_CHECKPOINT_SEEN = """
    WITH checkpointed AS (
        UPDATE tandem_seen SET is_checkpointed = true FROM unnest(%s::bigint[], %s::bigint[]) AS given (lane, number)
        WHERE tandem_seen.lane = given.lane AND tandem_seen.number <= given.number
    )
    INSERT INTO tandem_seen (lane, number) VALUES (%s::bigint, 1) ON CONFLICT DO NOTHING
"""
_CUT = """
    UPDATE tandem_seen SET cut = least(tandem_seen.cut, given.number), is_checkpointed = false
    FROM tandem_seen AS known
    LEFT JOIN unnest(%s::bigint[], %s::bigint[]) AS given (lane, number) ON given.lane = known.lane
    WHERE tandem_seen.lane = known.lane AND (known.is_checkpointed OR given.lane IS NOT NULL)
"""
_LOWER = """
    UPDATE tandem_seen SET number = least(tandem_seen.number, given.number)
    FROM unnest(%s::bigint[], %s::bigint[]) AS given (lane, number) WHERE tandem_seen.lane = given.lane
"""


def lane_values(slot: Slot | None) -> list[str | None]:
    """The parameters of HELD and ADVANCE."""
    return [] if slot is None else [str(slot.lane), str(slot.number)]


async def advance(transaction: Transaction, slot: Slot | None) -> None:
    """Advances the lane of an open transaction. Raises LaneLost."""
    if slot is None:
        return
    answer = await transaction.run(_ADVANCE, [slot.lane, slot.number])
    if answer.rowcount == 0:
        raise LaneLost


async def require_held(connections: Connections, slot: Slot | None) -> None:
    """Raises LaneLost unless the lane is open at the slot's number."""
    if (
        slot is not None
        and await (await connections.run(_IS_HELD, [slot.lane, slot.number])).fetchone() is None
    ):
        raise LaneLost


class PostgresLanes:
    """LaneRows, and the lane methods of LanedStore."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def register(self, lane: int, admission: Admission) -> bool:
        """See LaneRows. The lock waits for a change of the control record under way, and sees its outcome."""
        by = admission.by
        values = (lane, admission.epoch, by.pid, admission.opening, by.process, by.host, by.boot)
        parameters = [str(value) for value in (*values, OWNERSHIP_ID, admission.token)]
        with naming(LANES_TABLE):
            answer = await self._connections.run_once(_REGISTER, parameters)
        return answer.rowcount == 1

    async def close(self, lane: int) -> int:
        """See LaneRows. The row lock waits for a transaction that holds the lane."""
        rows = await (await self._connections.run(_CLOSE, {"lane": str(lane)})).fetchall()
        return int(rows[0][0]) if rows else 0

    async def beat(self, process: str) -> None:
        """Notes that the process is alive."""
        await self._connections.run(_BEAT, [process])

    async def positions(self, *, with_checkpointed: bool) -> Positions:
        """See LanedStore."""
        lanes, seen = {}, {}
        statement = _ALL_POSITIONS if with_checkpointed else _POSITIONS
        for row in await (await self._connections.run(statement)).fetchall():
            lane, number, is_checkpointed, is_open, epoch, opening, *identity, silent_seconds, cut = row
            if is_open is None:
                seen[lane] = Seen(number, cut, is_checkpointed)
                continue
            lanes[lane] = Lane(
                lane=lane,
                number=number,
                is_open=is_open,
                epoch=epoch,
                opening=opening,
                by=ProcessIdentity(*identity),
                silent_seconds=silent_seconds,
                is_checkpointed=is_checkpointed,
            )
        return Positions(lanes, seen)

    async def add_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> bool:
        """See LanedStore."""

        async def add() -> None:
            async with self._connections.transaction() as transaction:
                closed = await transaction.run(_CHECKPOINT, _arrays(numbers))
                if closed.rowcount != len(numbers):
                    raise _NotClosed
                await transaction.run(_ADD_CHECKPOINT, [checkpoint])

        try:
            await retried(add)
        except _NotClosed:
            return False
        return True

    async def see_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> None:
        """See LanedStore."""
        parameters = [*_arrays(numbers), checkpoint]
        await retried(lambda: self._connections.run(_CHECKPOINT_SEEN, parameters))

    async def cut(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        await self._set(_CUT, numbers)

    async def lower(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        await self._set(_LOWER, numbers)

    async def _set(self, statement: str, numbers: Mapping[int, int]) -> None:
        await retried(lambda: self._connections.run(statement, _arrays(numbers)))


class _NotClosed(Exception):
    """A lane for a checkpoint is not closed at its number."""


def _arrays(numbers: Mapping[int, int]) -> list[list[int]]:
    """The lanes in ascending order, and their numbers."""
    lanes = sorted(numbers)
    return [lanes, [numbers[lane] for lane in lanes]]
