"""Ctrl-C while a command runs, also several times."""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType

from entrypoints.cli.leaving import leave_on_interrupt


@contextmanager
def handler_kept() -> Iterator[None]:
    """Brings back what Ctrl-C did before: event loops that close forget it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


async def interruptible(command: Coroutine[object, object, object]) -> object:
    """The result of the command. The first Ctrl-C cancels it, so that it closes what it has open; the next one ends the
    process at once, which harms no store. Raises KeyboardInterrupt.

    A command that goes on until a signal, such as a service, replaces this by handlers of its own.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    is_interrupted = False

    def cancel(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        leave_on_interrupt()
        if task is not None:
            loop.call_soon_threadsafe(task.cancel)

    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, cancel)
    try:
        return await command
    except asyncio.CancelledError:
        if is_interrupted:
            raise KeyboardInterrupt from None
        raise
