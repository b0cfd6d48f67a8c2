"""Several editors that run at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from tests.integration.crash.editor import Editor
from tests.integration.crash.ledger import Ledger
from tests.integration.crash.service_client import ServiceClient

END_SECONDS_MAX = 150.0


class RunningEditors:
    """Editors in tasks of their own; `require_no_failure` raises the failure of one that has ended."""

    def __init__(self, working: list[asyncio.Task[None]]) -> None:
        self._working = working

    def require_no_failure(self) -> None:
        """An editor that has ended too early has failed: raise its error now instead of at the end."""
        for editor in self._working:
            if editor.done():
                editor.result()


@asynccontextmanager
async def running_editors(
    client: ServiceClient, *, editors: int, random: Random, ledger: Ledger, prefix: str = ""
) -> AsyncIterator[RunningEditors]:
    """The editors run inside the block. At its end, when the service must run, every request gets its answer.

    Their names begin with `prefix`, so that those of several services never use the same key.
    """
    stopping = asyncio.Event()
    working = [
        asyncio.create_task(
            Editor(f"{prefix}editor-{number}", client, random=Random(random.random()), ledger=ledger).work(
                stopping
            )
        )
        for number in range(editors)
    ]
    try:
        yield RunningEditors(working)
        stopping.set()
        await asyncio.wait_for(asyncio.gather(*working), END_SECONDS_MAX)
    finally:
        for editor in working:
            editor.cancel()
        await asyncio.gather(*working, return_exceptions=True)
