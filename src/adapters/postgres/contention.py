"""Retries with a pause where two writers conflicted."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from adapters.postgres.errors import Contention, RowLocked, TableLocked

ATTEMPTS_MAX = 5
LOCKED_ATTEMPTS_MAX = 2
"""How often a write is tried while somebody who is not about to finish holds the lock: each attempt waits for as long
as a lock may take.
"""
PAUSE_MS_MAX = 20
"""The longest first pause; each further one may be twice as long."""

R = TypeVar("R")


async def retried(attempt: Callable[[], Awaitable[R]]) -> R:
    """The result of the first attempt without contention. Raises the last Contention where all attempts meet it."""
    for number in range(ATTEMPTS_MAX - 1):
        try:
            return await attempt()
        except Contention as contention:
            if isinstance(contention, TableLocked | RowLocked) and number + 1 >= LOCKED_ATTEMPTS_MAX:
                raise
            pause_ms = random.uniform(0, PAUSE_MS_MAX * 2**number)  # noqa: S311 - jitter, not a secret
            await asyncio.sleep(pause_ms / 1_000)
    return await attempt()
