"""The background task that delivers entries which requests have not delivered."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress

from loguru import logger

from adapters.dual_write.backlog import Backlog
from adapters.dual_write.backoff import BackOff
from adapters.dual_write.delivery import Delivery, Outcomes
from adapters.dual_write.grouping import ids_by_collection
from adapters.dual_write.late_deliveries import LateDeliveries
from adapters.dual_write.lease import RelayLease
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.pace import Pace
from adapters.dual_write.settings import DualWriteSettings, MirrorMode
from adapters.records.record import ID, VERSION, CorruptRecord, Record
from adapters.records.record_store import RecordStore
from application.ports.clock import Clock
from domain.audit import SyncStatus
from domain.errors import StoreUnavailable


class Relay:
    """Delivers waiting entries, oldest first, under a lease, and probes a target whose breaker is open.

    All its state is in the two stores, so a new relay continues the work of another one that was killed at any point.
    An outage ends the round and does not count as an attempt; a rejection does.
    """

    def __init__(
        self,
        source: RecordStore,
        target: MirrorTarget,
        *,
        settings: DualWriteSettings,
        clock: Clock,
        holder: str,
    ) -> None:
        self._source = source
        self._target = target
        self._settings = settings
        self._clock = clock
        self.pace = Pace()
        self._backlog = Backlog(source, settings=settings)
        self._delivery = Delivery(source, target, settings=settings, clock=clock)
        self._late = LateDeliveries(self._delivery.deliver)
        self._lease = RelayLease(source, holder=holder, lease_ms=settings.lease_ms)
        self._back_off = BackOff(first=settings.probe_delay_seconds, longest=settings.probe_delay_seconds_max)
        self._failures = 0
        self._woken = asyncio.Event()
        self._stopped = asyncio.Event()
        self._revisit_after: str | None = None
        self._revisit_at = 0.0
        self._compare_at = 0.0
        self._stepped_at: float | None = None

    @property
    def silent_seconds(self) -> float | None:
        """How long ago it last ended a round or a page of one; None while it does not run."""
        if self._stepped_at is None:
            return None
        return asyncio.get_running_loop().time() - self._stepped_at

    def wake(self) -> None:
        """Starts a round now, without the grace period. Does not shorten a back-off."""
        self._woken.set()

    def stop(self) -> None:
        """Ends `run` after the current page."""
        self._stopped.set()
        self._woken.set()

    def resume(self) -> None:
        """Lets `run` be called again after `stop`."""
        self._stopped.clear()

    async def run(self) -> None:
        """Runs until stopped. After an error of either store it waits and continues."""
        self._note_step()
        try:
            while not self._stopped.is_set():
                pause = await self._round()
                self._note_step()
                await self._rest(pause)
        finally:
            self._stepped_at = None
            await self._late.cancel()
        try:
            await self._lease.release()
        except StoreUnavailable as error:
            logger.info("The relay's lease was not released and expires: {}", error.message)

    async def drain(self) -> None:
        """Delivers all entries that are due now, late ones and those that waited for them included, without the lease.

        Raises StoreUnavailable if either store stops answering; entries confirmed until then are marked.
        """
        late_count = None
        try:
            while late_count != self._late.late_count:
                late_count = self._late.late_count
                await self._drain(up_to=None, is_leased=False)
                await self._late.finish()
        finally:
            await self._late.cancel()

    async def deliver_record(self, collection: str, entity_id: str) -> Outcomes:
        """Delivers one record's entries now, whatever their state, and returns what became of them.

        Without undelivered entries it delivers the record's current state with its newest entry, in case the target has
        lost it. Does not wait for a late delivery of its table: the target keeps the later version. Raises
        StoreUnavailable.
        """
        entries = await self._backlog.of_record(collection, entity_id)
        return await self._delivery.deliver(entries or await self._backlog.newest_of(collection, entity_id))

    async def revisit_parked(self) -> None:
        """Delivers parked entries of records whose later version is already in the target.

        Each call handles one page and continues after the last call's page. Raises StoreUnavailable.
        """
        page = await self._backlog.with_status((SyncStatus.PARKED.value,), after=self._revisit_after)
        self._revisit_after = page[-1][ID] if len(page) == self._settings.relay_page_max else None
        await self._late.run(await self._superseded(page))

    async def _round(self) -> float:
        """Runs one round; returns the pause in seconds."""
        is_woken = self._woken.is_set()
        self._woken.clear()
        try:
            if self._target.breaker.is_open:
                await self._probe_beside_backlog()
            await self._work_and_compare(is_hurried=is_woken or self._settings.mode is MirrorMode.RELAY)
        except StoreUnavailable as error:
            return self._pause_after_failure(error.message)
        except Exception as error:  # noqa: BLE001 - the relay must survive any error: nothing else repairs the mirror
            logger.exception("The relay's round failed")
            return self._pause_after_failure(type(error).__name__)
        self._failures = 0
        return self._settings.relay_interval_ms / 1000

    async def _probe_beside_backlog(self) -> None:
        """Probes. What waits grows old meanwhile, and is delivered as soon as the target is back."""
        try:
            await self._probe()
        finally:
            with suppress(StoreUnavailable, CorruptRecord):
                await self._backlog.horizon()

    async def _work_and_compare(self, *, is_hurried: bool) -> None:
        try:
            if self._settings.enabled:
                await self._work(is_hurried=is_hurried)
        except StoreUnavailable:
            # A source that takes no writes, not even the lease, says nothing about the target.
            if not self._target.breaker.is_open:
                await self._compare()
            raise
        await self._compare()

    async def _work(self, *, is_hurried: bool) -> None:
        if not await self._lease.hold():
            return
        self._late.raise_failed()
        up_to = None if is_hurried else await self._backlog.horizon()
        await self._serve_blocked()
        await self._drain(up_to=up_to, is_leased=True)
        now = asyncio.get_running_loop().time()
        if now >= self._revisit_at:
            self._revisit_at = now + self._settings.revisit_interval_ms / 1000
            await self.revisit_parked()

    async def _probe(self) -> None:
        """Closes the breaker once the target has stored the first due change set: a ping does not prove that writes
        work, and a whole page may be too much for the target.
        """
        await self._target.connect()
        if self._settings.enabled:
            await self._delivery.try_once(await self._backlog.first_due(now=self._clock.now()))
        self._target.breaker.close()

    async def _compare(self) -> None:
        """Compares the stores once in an interval: another copy may have taken the place of either at any time."""
        now = asyncio.get_running_loop().time()
        if now >= self._compare_at:
            self._compare_at = now + self._settings.relay_interval_ms / 1000
            await self._target.connect()

    async def _drain(self, *, up_to: str | None, is_leased: bool) -> None:
        async with aclosing(self._backlog.due(now=self._clock.now(), up_to=up_to)) as due:
            async for page in due:
                for part in self.pace.parts(page):
                    await self._deliver_at_pace(part)
                    await self._serve_blocked()
                    if is_leased:
                        self._note_step()
                    if self._stopped.is_set() or (is_leased and not await self._lease.hold()):
                        return
                    if is_leased:
                        # A long drain must not make this process look dead, nor hide another copy.
                        await self._compare()

    async def _deliver_at_pace(self, part: Sequence[Record]) -> None:
        clock = asyncio.get_running_loop()
        began = clock.time()
        await self._late.run(part)
        await self.pace.rest(clock.time() - began)

    async def _serve_blocked(self) -> None:
        """Tries each blocked table with one change set when its pause is over; delivers what waited for a free one."""
        blockages = self._target.blockages
        for blockage in filter(blockages.is_due, blockages.tables()):
            collection = blockage.blocked.collection
            if collection in self._late.busy:
                continue
            canary = await self._backlog.first_waiting(collection)
            if canary:
                await self._late.run(canary)
            else:
                blockages.forget(collection)
        while blockages.freed:
            async with aclosing(self._backlog.waiting(blockages.freed.pop())) as pages:
                async for page in pages:
                    for part in self.pace.parts(page):
                        await self._deliver_at_pace(part)

    async def _superseded(self, entries: Sequence[Record]) -> list[Record]:
        """The entries of records whose later version is in the target, unless it is not the source's."""
        superseded: list[Record] = []
        for collection, ids in ids_by_collection(entries).items():
            held = await self._target.fetch(collection, ids)
            own = await self._source.fetch(collection, list(held))
            versions = {id_: record[VERSION] for id_, record in own.items()}
            superseded += [
                entry
                for entry in entries
                if entry["collection"] == collection
                and (record := held.get(entry["entityId"]))
                and entry[VERSION] < record[VERSION] <= versions.get(entry["entityId"], 0)
            ]
        return superseded

    def _note_step(self) -> None:
        self._stepped_at = asyncio.get_running_loop().time()

    def _pause_after_failure(self, reason: str) -> float:
        self._failures += 1
        pause = self._back_off.seconds_after(self._failures)
        self._target.breaker.probes_at = asyncio.get_running_loop().time() + pause
        logger.info("The relay tries again in {:.1f} s: {}", pause, reason)
        return pause

    async def _rest(self, seconds: float) -> None:
        """Waits for this time, or until woken. After a failure only `stop` ends the wait early."""
        reason = self._stopped if self._failures else self._woken
        try:
            async with asyncio.timeout(seconds):
                await reason.wait()
        except TimeoutError:
            return
