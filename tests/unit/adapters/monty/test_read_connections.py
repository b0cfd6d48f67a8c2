"""A long connection serves one reader after the other, whatever becomes of each."""

import asyncio
import sqlite3
from contextlib import closing

from adapters.monty.read_connections import ReadConnections
from adapters.monty.tuning import Tuning

ROWS = 50_000
COUNTED = (
    f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT count(*) FROM n"
)


def counted(connection: sqlite3.Connection) -> int:
    """A read of many steps."""
    ((number,),) = connection.execute(COUNTED).fetchall()
    return int(number)


async def test_a_caller_who_goes_when_the_read_has_ended_does_not_interrupt_the_next_read() -> None:
    with (
        closing(sqlite3.connect(":memory:")) as short,
        closing(sqlite3.connect(":memory:", check_same_thread=False)) as long,
    ):
        slots, met = asyncio.Semaphore(1), list[BaseException]()
        reads = ReadConnections(short, [long], slots=slots, tuning=Tuning(), note_error=met.append)
        gone = asyncio.create_task(reads.in_thread(counted))
        await asyncio.sleep(0)
        async with slots:  # As soon as the connection is given back, and before the caller hears of it.
            gone.cancel()
        await asyncio.wait([gone])
        assert gone.cancelled()
        assert await reads.in_thread(counted) == ROWS
        assert not met
        await reads.close()
