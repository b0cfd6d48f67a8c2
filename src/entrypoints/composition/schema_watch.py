"""Looks again and again, but not for every probe, for what somebody removed from the schema of a store in use."""

import asyncio
import time
from collections.abc import Callable

from adapters.records.cancellation import retrieve_error
from adapters.records.revisions import flaws_of
from application.ports.schema import FlawEffect, summary_of

EXAMINED_SECONDS = 3.0
"""So old may the answer of a probe be. Reading the catalogue takes some milliseconds."""
LOOK_SECONDS_MAX = 0.5
"""How long a probe waits for it, where others keep all connections."""
UNEXAMINED_SECONDS_MAX = 30.0


class SchemaWatch:
    """What was found of each store, by its name."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._found: dict[str, tuple[float, str | None]] = {}
        self._looks: dict[str, asyncio.Future[str | None]] = {}
        """The newest look at each store."""

    async def trouble_of(self, name: str, store: object) -> str | None:
        """What makes a store unsafe to write to, with a remedy; None if nothing does. Raises StoreUnavailable."""
        at, trouble = self._found.get(name, (float("-inf"), None))
        if self._monotonic() - at < EXAMINED_SECONDS:
            return trouble
        # It goes on where a probe cannot wait for it, as for a server that is far away; the next probe has its answer.
        look = self._looks.get(name)
        if look is None or look.done():
            look = self._looks[name] = asyncio.ensure_future(self._look(name, store))
            # A probe that did not wait for it looks again, and gets the error itself.
            look.add_done_callback(retrieve_error)
        done, _ = await asyncio.wait({look}, timeout=LOOK_SECONDS_MAX)
        if done:
            return look.result()
        silent_seconds = self._monotonic() - max(at, self._began)
        if trouble is not None or silent_seconds < UNEXAMINED_SECONDS_MAX:
            return trouble
        return f"The schema of the {name} store could not be examined for {silent_seconds:.0f} s."

    async def _look(self, name: str, store: object) -> str | None:
        shown = (FlawEffect.UNSAFE, FlawEffect.UNREADABLE)
        unsafe = [flaw for flaw in await flaws_of(store) if flaw.effect in shown]
        causes, remedies = summary_of(unsafe)
        self._found[name] = (self._monotonic(), " ".join([causes, *remedies]) or None)
        return self._found[name][1]
