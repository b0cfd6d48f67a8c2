"""Cancellations that drivers lose.

Until Python 3.12, `asyncio.wait_for` returns a result that arrives at the same moment as a cancellation, and the
cancellation is gone; drivers use it around their calls. A loop that is cancelled once would then never end.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heeding_cancellation() -> Iterator[None]:
    """Around calls of a driver. Raises CancelledError if the task was cancelled meanwhile, however the calls ended."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except Exception as error:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
