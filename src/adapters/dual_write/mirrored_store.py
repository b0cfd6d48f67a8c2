"""A record store that mirrors every commit to a second store."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from adapters.dual_write.batcher import MirrorBatcher
from adapters.dual_write.differences import DeliveryOutcome, judged
from adapters.dual_write.latency import MirrorLatencies
from adapters.dual_write.marker import Marker
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.outbox import DeliveryMarks, for_target, needs_mirror, pending
from adapters.dual_write.settings import DualWriteSettings, MirrorMode
from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet, LaneStamp, Rejection, stamped
from adapters.records.criteria import Question
from adapters.records.isolation import apply_each
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.wrapped_store import Answer, WrappedStore
from application.ports.clock import Clock
from domain.errors import MirrorPending, StoreUnavailable


class MirroredStore(WrappedStore):
    """A RecordStore over the source, which mirrors commits to the target.

    The source's commit stores the entries as PENDING, so delivery does not depend on this process: after a cancellation
    or a crash the relay finds the entries. The target is never called before the commit in the source is durable, nor
    while its breaker is open. `note_request` is called before each read and commit, so that the relay makes room for
    them.
    """

    def __init__(
        self,
        source: RecordStore,
        target: MirrorTarget,
        *,
        settings: DualWriteSettings,
        clock: Clock,
        wake_relay: Callable[[], None],
        note_request: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(source)
        self._note_request = note_request
        self._target = target
        self._settings = settings
        self._clock = clock
        self._wake_relay = wake_relay
        self._marks = DeliveryMarks(settings)
        self._marker = Marker(source, settings=settings)
        self._batcher = MirrorBatcher(
            target, settings=settings, judge=partial(judged, source), on_outcome=self._mark
        )
        self.latencies = MirrorLatencies()
        self.on_unconfirmed: Callable[[ChangeSet], None] = lambda _: None
        """Called before a commit ends whose change set is durable in the source and not confirmed by the target."""

    async def open(self) -> None:
        """Opens the source. A target that cannot be reached opens the breaker instead; the relay connects it later."""
        await super().open()
        await self._reach_target()

    async def prepare(self) -> None:
        """Prepares the source now, and the target now or as soon as it can be reached."""
        await super().prepare()
        self._target.request_preparation()
        await self._reach_target()

    async def close(self) -> None:
        """Finishes the current flush, marks known outcomes, and closes both stores. Stop the relay first."""
        await self.finish()
        await self._target.close()
        await super().close()

    async def finish(self) -> None:
        """Finishes the current flush and marks known outcomes; both stores stay open. Nothing is mirrored any more."""
        await self._batcher.close()
        await self._marker.close()

    def fetch(self, collection: str, ids: Sequence[str]) -> Answer[dict[str, Record]]:
        self._note_request()
        return self._inner.fetch(collection, ids)

    def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> Answer[dict[str, dict[str, Record]]]:
        self._note_request()
        return self._inner.gather(ids_by_collection)

    def find(self, question: Question) -> Answer[list[Record]]:
        self._note_request()
        return self._inner.find(question)

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        """Durable in the source on return; confirmed by the target or left to the relay, depending on the mode.

        Raises the errors of the source, and MirrorPending in mode strict if the target did not confirm.
        """
        self._note_request()
        if not needs_mirror(change_set):
            return await self._inner.commit(change_set)
        stamp = await self._inner.commit(pending(change_set))
        is_confirmed = False
        try:
            is_confirmed = await self._mirror(stamped(change_set, stamp))
        finally:
            if not is_confirmed:
                self.on_unconfirmed(change_set)
        if self._settings.mode is MirrorMode.STRICT and not is_confirmed:
            raise MirrorPending
        return stamp

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        """Applies to both stores, the source first. Raises if the target does not answer; repeating is harmless.

        A change set that only the target rejects stays in the source, and has the target's rejection as its outcome.
        """
        outcomes = await apply_each(self._inner.apply, change_sets)
        stored = [
            place for place, outcome in enumerate(outcomes) if not isinstance(outcome, Rejection | Blocked)
        ]
        now = self._clock.now()
        mirrored = [for_target(change_sets[place], now) for place in stored]
        answers = await self._target.apply(mirrored, timeout_ms=self._settings.relay_timeout_ms)
        for place, answer in zip(stored, answers, strict=True):
            outcomes[place] = answer or outcomes[place]
        return outcomes

    async def _mirror(self, change_set: ChangeSet) -> bool:
        if not self._settings.enabled:
            return False
        is_too_large = len(change_set.puts) > self._settings.direct_records_max
        if self._settings.mode is MirrorMode.RELAY or is_too_large:
            self._wake_relay()
            return False
        return await self._batcher.mirror(for_target(change_set, self._clock.now()))

    def _mark(self, change_set: ChangeSet, outcome: DeliveryOutcome, elapsed_ms: float) -> None:
        now = self._clock.now()
        for entry in change_set.entries:
            match outcome:
                case None:
                    self.latencies.note(entry["collection"], elapsed_ms)
                    self._marker.mark(self._marks.synced(entry, now))
                case Blocked():
                    pause = self._target.blockages.seconds_until_retry(outcome)
                    self._marker.mark(self._marks.blocked(entry, outcome, now, pause_seconds=pause))
                case Rejection():
                    self._marker.mark(self._marks.rejected(entry, outcome, now))

    async def _reach_target(self) -> None:
        try:
            await self._target.connect()
        except StoreUnavailable:
            return  # the breaker is open and says why
