"""Work beside a call whose time limit it would exceed: each call looks whether it has ended by now."""

import asyncio
from collections.abc import Coroutine
from typing import Any

PATIENCE_SECONDS = 1.0
"""How long a call waits for it; shorter than the time limit of a call to the target."""


class LongTask:
    """Runs until it ends or is cancelled, whatever becomes of the calls that wait for it."""

    def __init__(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        self._task = asyncio.create_task(work, name=name)

    async def is_done(self) -> bool:
        """Whether it has ended, also by an error, within PATIENCE_SECONDS."""
        done, _ = await asyncio.wait({self._task}, timeout=PATIENCE_SECONDS)
        return bool(done)

    def require_success(self) -> None:
        """Raises the error with which it has ended."""
        self._task.result()

    async def cancel(self) -> None:
        """Ends it; it can be begun anew."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
