"""The completion of a target that turned out to be an older copy of itself: it takes as long as it takes."""

from loguru import logger

from adapters.ownership import control
from adapters.ownership.comparison import Numbers
from adapters.ownership.control import Ownership
from adapters.ownership.long_task import LongTask
from adapters.ownership.repair import reopen_lost
from adapters.ownership.source_side import SourceSide


class Completion(LongTask):
    """A task that makes everything PENDING that the target has lost. Evidence about the target is void then: its
    incarnation rises.

    It may be repeated after a crash at any point. As long as what was seen is not lowered, every comparison finds the
    loss again; so that is the last step, and a crash before it raises the incarnation twice, which is harmless.
    """

    def __init__(self, source: SourceSide, target: str, cuts: Numbers) -> None:
        self._source = source
        self._target = target
        self._cuts = cuts
        self._reopened = 0
        super().__init__(self._run(), name="completing the target")

    @property
    def progress(self) -> str:
        """What it has done so far, for operators."""
        return (
            f"This {self._target} store is an older copy of itself and is completed: {self._reopened} changes that it"
            " has lost were found so far, and are delivered again afterwards."
        )

    async def _run(self) -> None:
        store = self._source.store
        owner = (await self._source.required()).ownership
        await reopen_lost(
            store,
            self._cuts,
            has_foreign_entries=owner.epoch > control.FIRST_EPOCH,
            on_reopened=self._note,
        )
        await self._source.change(Ownership.with_next_incarnation)
        await store.lower(self._cuts)
        logger.warning(
            "The {} store is an older copy of itself: {} entries that it lacks are delivered again.",
            self._target,
            self._reopened,
        )

    def _note(self, count: int) -> None:
        self._reopened += count
