"""How works become durable: at once in memory, in groups through the journal on disk."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from adapters.monty.change_batch import ChangeBatch
from adapters.monty.change_work import Work
from adapters.monty.document_keepers import DocumentKeeper
from adapters.monty.errors import DRIVER_ERRORS, unavailable
from adapters.monty.journal import Journal
from adapters.monty.stored_state import StoredState
from domain.errors import StoreUnavailable

QUEUE_MAX = 10_000
"""The most works that wait; more are refused, to be tried again."""
BATCH_MAX = 1_000
"""The most works in one journal transaction."""
JOURNAL_BYTES_MAX = 16 * 1024 * 1024
"""Above this much that only the journal holds for good, batches wait until the collections hold it too."""
CHECKPOINT_BYTES = JOURNAL_BYTES_MAX // 4
"""At this much the collections are made to hold it, beside the traffic."""


class Commits(Protocol):
    """Makes works durable and visible, each atomically."""

    async def submit(self, work: Work) -> None:
        """Returns when the work is durable and visible; raises what is wrong with it."""
        ...

    async def close(self) -> None:
        """Finishes what was submitted."""
        ...


class ImmediateCommits:
    """For memory: there is nothing to wait for."""

    def __init__(self, state: StoredState) -> None:
        self._state = state

    async def submit(self, work: Work) -> None:
        batch = ChangeBatch(self._state)
        batch.take(work)
        self._state.store(batch.writes)

    async def close(self) -> None:
        """Nothing waits."""


@dataclass(frozen=True, slots=True)
class _Submitted:
    work: Work
    outcome: asyncio.Future[None]

    def succeed(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(None)

    def fail(self, error: Exception) -> None:
        # The caller may be gone; what it asked for happens or not all the same.
        if not self.outcome.done():
            self.outcome.set_exception(error)


class GroupCommits:
    """One batch at a time goes to the journal, in a thread of its own; what arrives meanwhile makes up the next one.

    The steps are callbacks and not a task: there is nothing that somebody could cancel between journal and collections.
    """

    def __init__(self, state: StoredState, journal: Journal, keeper: DocumentKeeper) -> None:
        self._state = state
        self._journal = journal
        self._keeper = keeper
        self._queue: deque[_Submitted] = deque()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="monty-journal")
        self._checkpointer = ThreadPoolExecutor(1, thread_name_prefix="monty-checkpoint")
        self._flush: asyncio.Future[int] | None = None
        self._checkpoint: asyncio.Future[None] | None = None
        self._is_starting = False
        self._is_closed = False
        self._stored_through = 0
        self._lasting_through = 0
        self._journal_bytes = 0

    async def submit(self, work: Work) -> None:
        if self._is_closed:
            raise StoreUnavailable("MontyDB is closed.")
        if len(self._queue) >= QUEUE_MAX:
            raise StoreUnavailable("MontyDB has more to do than it can; try again in a moment.")
        outcome = asyncio.get_running_loop().create_future()
        self._queue.append(_Submitted(work, outcome))
        self._start_soon()
        await outcome

    async def close(self) -> None:
        self._is_closed = True
        while self._queue or self._flush is not None or self._checkpoint is not None:
            self._start()
            running = [step for step in (self._flush, self._checkpoint) if step is not None]
            if running:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._checkpointer.shutdown)

    def _start_soon(self) -> None:
        """Lets what arrives in the same turn of the loop share a batch."""
        if not self._is_starting and self._flush is None and self._queue:
            self._is_starting = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._is_starting = False
        if self._flush is not None or not self._has_room():
            return
        batch, members = self._next_batch()
        if not batch.writes:
            return
        documents = [write.document for write in batch.writes]
        size = sum(len(document.data) for document in documents)
        append = partial(self._journal.append, documents, drop_through=self._lasting_through)
        self._flush = asyncio.get_running_loop().run_in_executor(self._writer, append)
        self._flush.add_done_callback(partial(self._finish, batch=batch, members=members, size=size))

    def _next_batch(self) -> tuple[ChangeBatch, list[_Submitted]]:
        """Judges what waits, oldest first. Whoever is refused, or has nothing to write, is answered here."""
        batch, members, waiting = ChangeBatch(self._state), list[_Submitted](), list[_Submitted]()
        while self._queue and len(members) < BATCH_MAX:
            submitted, written = self._queue.popleft(), len(batch.writes)
            try:
                self._state.require_whole()
                is_taken = batch.take(submitted.work)
            except DRIVER_ERRORS as error:
                submitted.fail(unavailable(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever asked for this
                submitted.fail(error)
            else:
                if not is_taken:
                    waiting.append(submitted)
                elif len(batch.writes) > written:
                    members.append(submitted)
                else:
                    submitted.succeed()
        self._queue.extendleft(reversed(waiting))
        return batch, members

    def _finish(
        self, flush: asyncio.Future[int], *, batch: ChangeBatch, members: Sequence[_Submitted], size: int
    ) -> None:
        """The journal has the batch, or failed to take it."""
        self._flush = None
        try:
            stored_through = flush.result()
            self._journal_bytes += size
            self._state.store(batch.writes)
            self._stored_through = stored_through
            for submitted in members:
                submitted.succeed()
        except (*DRIVER_ERRORS, StoreUnavailable) as error:
            for submitted in members:
                submitted.fail(unavailable(error))
        finally:
            # After anything else the outcome is open: what the journal has is found when it is replayed.
            for submitted in members:
                submitted.fail(StoreUnavailable())
            self._go_on()

    def _go_on(self) -> None:
        if self._journal_bytes >= CHECKPOINT_BYTES:
            self._start_checkpoint()
        self._start_soon()

    def _has_room(self) -> bool:
        """Whether the journal may grow. Where it may not, a checkpoint runs or was just begun."""
        if self._journal_bytes < JOURNAL_BYTES_MAX or not self._state.is_whole:
            return True
        self._start_checkpoint()
        return False

    def _start_checkpoint(self) -> None:
        if self._checkpoint is None and self._state.is_whole:
            through, size = self._stored_through, self._journal_bytes
            loop = asyncio.get_running_loop()
            self._checkpoint = loop.run_in_executor(self._checkpointer, self._keeper.make_lasting)
            self._checkpoint.add_done_callback(partial(self._note_checkpoint, through=through, size=size))

    def _note_checkpoint(self, checkpoint: asyncio.Future[None], *, through: int, size: int) -> None:
        self._checkpoint = None
        try:
            checkpoint.result()
        except DRIVER_ERRORS as error:
            self._refuse_all_that_waits(error)
            return
        self._lasting_through = through
        self._journal_bytes -= size
        self._start_soon()

    def _refuse_all_that_waits(self, error: BaseException) -> None:
        """Without room in the journal nobody may wait for a disk that fails; what is asked next tries it again."""
        if self._journal_bytes >= JOURNAL_BYTES_MAX:
            while self._queue:
                self._queue.popleft().fail(unavailable(error))
