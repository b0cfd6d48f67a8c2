"""Cancellations that drivers lose, and threads that cannot be cancelled.

Until Python 3.12, `asyncio.wait_for` returns a result that arrives at the same moment as a cancellation, and the
cancellation is gone; drivers use it around their calls. A loop that is cancelled once would then never end.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")


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


def retrieve_error(ended: asyncio.Future[Any]) -> None:
    """For `add_done_callback`: the event loop would report an exception that no caller retrieves."""
    if not ended.cancelled():
        ended.exception()


async def in_thread_to_its_end(work: Callable[[], T]) -> T:
    """The result of work in a thread. Where the caller is cancelled, it raises CancelledError only once the thread has
    ended: what it uses may be closed then.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        raise
