"""The source and the target of one process, in use only as far as their ownership allows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from adapters.ownership.sight import Sight
from adapters.ownership.stamps import AppliedStamps
from adapters.ownership.writes_under_way import WritesUnderWay
from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet, DeliveryMark, LaneStamp, Put
from adapters.records.compared import SourceFailed, was_of_source
from adapters.records.lanes import LanedStore, LaneLost
from adapters.records.loading import FilledStore, Loaded
from adapters.records.record import Record
from adapters.records.record_store import RecordStore, StoreRefused
from adapters.records.wrapped_store import WrappedStore
from domain.errors import StoreUnavailable

T = TypeVar("T")
Step = Callable[[RecordStore], Awaitable[None]]
COMPARED_SECONDS_MAX = 30.0
"""The relay compares once a second, but not while it delivers a page, which may take twice as long as one slow call."""
ADMISSION_SECONDS_MAX = 1.0
"""How long a write waits for an admission under way: much longer than one takes that need not wait itself."""


class SourceGuard(Protocol):
    """What a source calls before and after each write."""

    sight: Sight
    writes: WritesUnderWay
    """A closed control record is changed only while none of this process is under way."""

    def require_open(self) -> None:
        """Raises WritesRefused while the source takes no writes."""
        ...

    async def enter_again(self) -> None:
        """Looks at the control record and compares, after the source took a lane away. Raises StoreUnavailable."""
        ...

    def note_commit(self, stamp: LaneStamp) -> None:
        """Remembers how far this process has written: a source that stands below that is an older copy."""
        ...

    async def leave(self) -> None:
        """Closes the lanes of this process, so that its successor need not wait until they are silent."""
        ...


class TargetGuard(Protocol):
    """What a target calls before it is used."""

    async def look(self) -> None:
        """Checks whose store the target is. Raises StoreRefused, StoreUnavailable."""
        ...

    async def require_alone(self) -> None:
        """`look`, and checks who feeds the target, before anything is migrated or rewritten in it.

        Raises StoreRefused, StoreUnavailable.
        """
        ...

    async def admit(self) -> None:
        """Compares the stores and registers this process. Raises StoreRefused or StoreUnavailable."""
        ...

    async def compare(self) -> None:
        """Compares the stores under way. Raises as `admit` does, and LaneLost for a process that must enter again."""
        ...

    def lose_sight(self) -> None:
        """The target did not answer, so that the silence of other processes says nothing about them."""
        ...

    async def beat(self) -> None:
        """Shows that this process is alive. Raises StoreUnavailable."""
        ...

    async def leave(self) -> None:
        """Closes the lanes of this process, so that its successor need not wait until they are silent."""
        ...


class OwnedSource(WrappedStore):
    """A source that takes writes only while its gate is open, each by a lane."""

    def __init__(self, inner: LanedStore, guard: SourceGuard, stamps: AppliedStamps) -> None:
        super().__init__(inner)
        self._guard = guard
        self._stamps = stamps

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        """Raises WritesRefused while the gate is closed."""
        stamp = await self._guarded(lambda: self._inner.commit(change_set))
        if stamp is not None:
            self._guard.note_commit(stamp)
        return stamp

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        """Raises WritesRefused while the gate is closed."""
        return await self._guarded(lambda: self._inner.apply(change_sets))

    async def _guarded(self, write: Callable[[], Awaitable[T]]) -> T:
        self._guard.require_open()
        try:
            with self._guard.writes.counted(), self._guard.sight.of_call():
                return await write()
        except LaneLost:
            # Nothing was written.
            await self._guard.enter_again()
            self._guard.require_open()
            with self._guard.writes.counted():
                return await write()

    async def close(self) -> None:
        await self._guard.leave()
        await super().close()

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        with self._guard.sight.of_call():
            await self._inner.mark(self._stamps.on(marks))


class OwnedTarget(WrappedStore):
    """A target that may become available, or another one, long after the process has started.

    Its checks therefore stand here and not in the start. `open`, `prepare` and `compare` raise StoreRefused for a store
    that must not be used; a ping only says whether the store answers.
    """

    def __init__(
        self,
        inner: FilledStore,
        guard: TargetGuard,
        stamps: AppliedStamps,
        *,
        bring_up: Step | None,
        require_current: Step,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._laned = inner
        self._guard = guard
        self._stamps = stamps
        self._bring_up = bring_up
        self._require_current = require_current
        self._monotonic = monotonic
        self._is_ready = False
        self._is_admitted = False
        self._admitting = asyncio.Lock()
        self._compared_at: float | None = None
        self._objection: str | None = None
        self._source_failure: str | None = None

    async def open(self) -> None:
        await super().open()
        await self._guard.look()
        if self._bring_up is None:
            await self._require_current(self._inner)
            self._is_ready = True

    async def prepare(self) -> None:
        await self._guard.require_alone()
        self._is_admitted = False
        if self._bring_up is not None:
            # What prepares a store has no lane; this process may have had one in what was here before.
            self._laned.forget_admission()
            await self._bring_up(self._inner)
        self._is_ready = True
        await self._admit()

    async def compare(self) -> None:
        """See Compared. Before the store is prepared, only whether it answers."""
        try:
            await self.ping()
        except StoreUnavailable:
            self._guard.lose_sight()
            raise
        if self._is_admitted:
            try:
                await self._judged(self._guard.compare())
            except LaneLost:
                self._is_admitted = False
                await self._admit()
        elif self._is_ready:
            await self._admit()

    def require_compared(self) -> None:
        """See Compared."""
        if self._objection is not None:
            raise StoreUnavailable(self._objection)
        if self._compared_at is None:
            raise StoreUnavailable("It was not compared with the source yet.")
        age = self._monotonic() - self._compared_at
        if age > COMPARED_SECONDS_MAX:
            if self._source_failure is not None:
                raise SourceFailed(f"It answers, but was not compared with the source for {age:.0f} s.")
            raise StoreUnavailable(f"It was last compared with the source {age:.0f} s ago.")

    def note_inspected(self) -> None:
        """The stores were compared without an admission, by whoever only asks, and nothing was found."""
        self._compared_at = self._monotonic()

    async def beat(self) -> None:
        """Shows that this process is alive, once it was admitted. Raises StoreUnavailable."""
        if not self._is_admitted:
            return
        try:
            await self._guard.beat()
        except LaneLost:
            self._is_admitted = False  # until the next comparison

    async def close(self) -> None:
        if self._is_admitted:
            await self._guard.leave()
        await super().close()

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        """Raises StoreRefused where another database has taken the place of the target."""
        await self._require_admitted()
        try:
            applied = await self._laned.apply_by_lane(change_sets)
        except LaneLost:
            # Nothing was written. This may be another database now.
            self._is_admitted = False
            await self._admit()
            applied = await self._laned.apply_by_lane(change_sets)
        if any(isinstance(outcome, Blocked) for outcome in applied.outcomes):
            # A missing table may be that of another database. A control record that is blocked, too, proves nothing.
            with suppress(StoreUnavailable):
                await self._guard.look()
        if applied.stamp is not None:
            self._stamps.note(change_sets, applied.stamp)
        return applied.outcomes

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        """See BulkLoader. Raises StoreRefused where another database has taken the place of the target."""
        await self._require_admitted()
        try:
            return await self._laned.load(collection, records, checkpoint=checkpoint)
        except LaneLost:
            self._is_admitted = False
            await self._admit()
            return await self._laned.load(collection, records, checkpoint=checkpoint)

    async def _require_admitted(self) -> None:
        """Waits for an admission under way, which follows every lost lane. Raises StoreUnavailable without one."""
        if not self._is_admitted and self._admitting.locked():
            with suppress(TimeoutError):
                async with asyncio.timeout(ADMISSION_SECONDS_MAX), self._admitting:
                    pass
        if not self._is_admitted:
            raise StoreUnavailable("The target was not compared with the source yet.")

    async def _admit(self) -> None:
        async with self._admitting:
            if not self._is_admitted:
                await self._judged(self._guard.admit())
                self._is_admitted = True

    async def _judged(self, comparison: Coroutine[Any, Any, None]) -> None:
        """Runs a comparison, and keeps for probes what it finds."""
        try:
            await comparison
        except asyncio.CancelledError as cancelled:
            if was_of_source(cancelled):
                self._source_failure = "It takes too long to answer."
            raise
        except SourceFailed as failed:
            self._source_failure = failed.message
            raise
        except (StoreUnavailable, StoreRefused) as error:
            self._objection = error.message if isinstance(error, StoreUnavailable) else str(error)
            raise
        self._objection = self._source_failure = None
        self._compared_at = self._monotonic()
