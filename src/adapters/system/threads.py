"""Threads of this process."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")


class Threads:
    """The port ThreadExecutor: a thread of the event loop's own pool."""

    async def run(self, work: Callable[[], R]) -> R:
        return await asyncio.to_thread(work)
