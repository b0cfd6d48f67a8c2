"""The control record of a source in use: whether it is still there, and still that of this installation."""

import asyncio
from collections.abc import Callable

from adapters.ownership import control, refusals
from adapters.ownership.control import Held
from adapters.ownership.refusals import StoreLost
from adapters.ownership.sight import Sight
from adapters.records.lanes import LanedStore

LOOK_SECONDS = 0.1
"""How long what was read is believed."""


class KeptRecord:
    """Reads the control record and notes whether the store is lost: it was emptied, or replaced by another one."""

    def __init__(self, store: LanedStore, sight: Sight, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._sight = sight
        self._monotonic = monotonic
        self._look: asyncio.Future[Held | None] | None = None
        self._read_at = float("inf")
        """In the future before the source is entered."""
        self.installation: str | None = None
        """That of the entered source."""
        self.loss: StoreLost | None = None
        """Set once the store has lost its control record, or holds that of another installation."""

    @property
    def is_fresh(self) -> bool:
        """Whether it was read just now, or need not be read yet."""
        return self._monotonic() < self._read_at + LOOK_SECONDS

    def enter(self, installation: str) -> None:
        """The record of this installation was read, and has to be there from now on."""
        self.installation, self._read_at = installation, self._monotonic()

    async def required(self) -> Held:
        """The control record of the entered source. Raises StoreLost where there is none (any more), or that of another
        installation, and StoreUnavailable.
        """
        with self._sight.of_call():
            held = await control.read(self._store)
        return self._kept(held)

    async def look(self) -> None:
        """Reads once, for all who ask meanwhile, whether the source is lost. Raises as `required`.

        Callers may give up at any time, so this says nothing about whether the source answers.
        """
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(control.read(self._store))
        self._kept(await asyncio.shield(self._look))

    def _kept(self, held: Held | None) -> Held:
        found = None if held is None else held.ownership
        is_ours = found is not None and self.installation in (None, found.installation)
        self._read_at = self._monotonic()
        self.loss = None if is_ours else refusals.lost(self._store.name, found)
        if held is None or not is_ours:
            raise refusals.lost(self._store.name, found)
        return held
