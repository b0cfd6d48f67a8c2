"""Several editors at work at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from tests.integration.crash.editor import Editor
from tests.integration.crash.ledger import Ledger
from tests.integration.crash.service_client import ServiceClient

END_SECONDS_MAX = 150.0


class Crew:
    """Editors with tasks of their own; `require_at_work` raises what one of them has found."""

    def __init__(self, working: list[asyncio.Task[None]]) -> None:
        self._working = working

    def require_at_work(self) -> None:
        """An editor who has ended while he should work has found a fault: raises it now instead of at the end."""
        for editor in self._working:
            if editor.done():
                editor.result()


@asynccontextmanager
async def crew_at_work(
    client: ServiceClient, *, editors: int, random: Random, ledger: Ledger
) -> AsyncIterator[Crew]:
    """Editors work inside. At the end, when the service must run, every request of theirs gets its answer."""
    stopping = asyncio.Event()
    working = [
        asyncio.create_task(
            Editor(f"editor-{number}", client, random=Random(random.random()), ledger=ledger).work(stopping)
        )
        for number in range(editors)
    ]
    try:
        yield Crew(working)
        stopping.set()
        await asyncio.wait_for(asyncio.gather(*working), END_SECONDS_MAX)
    finally:
        for editor in working:
            editor.cancel()
        await asyncio.gather(*working, return_exceptions=True)
