"""A record store whose every commit also reaches a second store."""

from collections.abc import Callable, Mapping, Sequence

from adapters.dual_write import intents
from adapters.dual_write.batcher import Confirmation, MirrorBatcher
from adapters.dual_write.isolation import apply_each
from adapters.dual_write.latency import MirrorLatencies
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.settings import DualWriteSettings, MirrorMode
from adapters.dual_write.settler import Settler
from adapters.records.change_set import ChangeSet, Refusal, Settlement
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from application.ports.clock import Clock
from domain.errors import MirrorPending, StoreUnavailable


class MirroredStore:
    """A RecordStore over the source; the target follows.

    The source's commit carries the intent to mirror (entries PENDING), so nothing here depends on memory: whatever is
    cancelled, killed or lost after it, the relay finds the entry. The target is never touched before the source is
    durable, and is never asked while its breaker is open.
    """

    def __init__(
        self,
        source: RecordStore,
        target: MirrorTarget,
        *,
        settings: DualWriteSettings,
        clock: Clock,
        wake_relay: Callable[[], None],
    ) -> None:
        self._source = source
        self._target = target
        self._settings = settings
        self._clock = clock
        self._wake_relay = wake_relay
        self._verdicts = intents.Verdicts(settings)
        self._settler = Settler(source, settings=settings)
        self._batcher = MirrorBatcher(target, settings=settings, landed=self._landed)
        self.latencies = MirrorLatencies()

    @property
    def name(self) -> str:
        return self._source.name

    async def open(self) -> None:
        """Opens the source. A target that cannot be reached opens the breaker instead; the relay connects it later."""
        await self._source.open()
        await self._reach_target()

    async def prepare(self) -> None:
        """Prepares the source now, and the target now or as soon as it can be reached."""
        await self._source.prepare()
        self._target.want_prepared()
        await self._reach_target()

    async def close(self) -> None:
        """Finishes what is in flight, notes what is known, closes both stores. Stop the relay first."""
        await self._batcher.close()
        await self._settler.close()
        await self._target.close()
        await self._source.close()

    async def ping(self) -> None:
        await self._source.ping()

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        return await self._source.fetch(collection, ids)

    async def gather(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        return await self._source.gather(wanted)

    async def find(self, question: Question) -> list[Record]:
        return await self._source.find(question)

    async def count(self, collection: str, where: Criterion) -> int:
        return await self._source.count(collection, where)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return await self._source.scan(collection, after=after, limit=limit)

    async def commit(self, change_set: ChangeSet) -> None:
        """Durable in the source on return, and confirmed by the target or left to the relay, as the mode says.

        Raises what the source raises; MirrorPending in mode strict where the target did not confirm.
        """
        if not intents.needs_mirror(change_set):
            await self._source.commit(change_set)
            return
        await self._source.commit(intents.pending(change_set))
        confirmation = await self._mirror(change_set)
        if self._settings.mode is MirrorMode.STRICT and confirmation is not Confirmation.CONFIRMED:
            raise MirrorPending

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Refusal | None]:
        """In both stores, the source first. Where the target does not answer it raises; repeating is harmless.

        What the target alone refuses the source keeps: the Refusal then says that the copy lacks it.
        """
        outcomes = await apply_each(self._source.apply, change_sets)
        taken = [index for index, refusal in enumerate(outcomes) if refusal is None]
        now = self._clock.now()
        mirrored = [intents.for_target(change_sets[index], now) for index in taken]
        answers = await self._target.apply(mirrored, timeout_ms=self._settings.relay_timeout_ms)
        for index, answer in zip(taken, answers, strict=True):
            outcomes[index] = answer
        return outcomes

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        await self._source.settle(settlements)

    async def _mirror(self, change_set: ChangeSet) -> Confirmation:
        if not self._settings.enabled:
            return Confirmation.UNKNOWN
        if self._settings.mode is MirrorMode.RELAY:
            self._wake_relay()
            return Confirmation.UNKNOWN
        if len(change_set.puts) > self._settings.direct_records_max:
            self._wake_relay()
            return Confirmation.UNKNOWN
        return await self._batcher.mirror(intents.for_target(change_set, self._clock.now()))

    def _landed(self, change_set: ChangeSet, refusal: Refusal | None, elapsed_ms: float) -> None:
        now = self._clock.now()
        for entry in change_set.entries:
            if refusal is None:
                self.latencies.note(entry["collection"], elapsed_ms)
                self._settler.note(self._verdicts.synced(entry, now))
            else:
                self._settler.note(self._verdicts.refused(entry, refusal, now))

    async def _reach_target(self) -> None:
        try:
            await self._target.connect()
        except StoreUnavailable:
            return  # the breaker is open and says why
