"""The source and the target of one process, in use only as far as their ownership allows."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from adapters.ownership.stamps import AppliedStamps
from adapters.records.change_set import ApplyOutcome, ChangeSet, DeliveryMark, LaneStamp
from adapters.records.lanes import LanedStore, LaneLost
from adapters.records.record_store import RecordStore
from adapters.records.wrapped_store import WrappedStore
from domain.errors import StoreUnavailable

Step = Callable[[RecordStore], Awaitable[None]]


class SourceGuard(Protocol):
    """What a source asks before it writes."""

    def require_open(self) -> None:
        """Raises WritesRefused while the source takes no writes."""
        ...

    async def enter_again(self) -> None:
        """Looks at the control record and compares, after the source took a lane away. Raises StoreUnavailable."""
        ...

    async def leave(self) -> None:
        """Closes the lanes of this process, so that its successor need not wait until they are silent."""
        ...


class TargetGuard(Protocol):
    """What a target asks before it is used."""

    async def look(self) -> None:
        """Checks whose store the target is, and who feeds it, before anything is migrated or rewritten in it.

        Raises StoreRefused or StoreUnavailable.
        """
        ...

    async def admit(self) -> None:
        """Compares the stores and registers this process. Raises StoreRefused or StoreUnavailable."""
        ...

    async def compare(self) -> None:
        """Compares the stores under way. Raises as `admit` does."""
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
        self._guard.require_open()
        try:
            return await self._inner.commit(change_set)
        except LaneLost:
            # Nothing was written.
            await self._guard.enter_again()
            self._guard.require_open()
            return await self._inner.commit(change_set)

    async def close(self) -> None:
        await self._guard.leave()
        await super().close()

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        await self._inner.mark(self._stamps.on(marks))


class OwnedTarget(WrappedStore):
    """A target that may become available, or another one, long after the process has started.

    Its checks therefore stand here and not in the start. A ping also compares, so that whoever asks whether the target
    can be used learns the truth. `open`, `ping` and `prepare` raise StoreRefused for a store that must not be used.
    """

    def __init__(
        self,
        inner: LanedStore,
        guard: TargetGuard,
        stamps: AppliedStamps,
        *,
        bring_up: Step | None,
        require_current: Step,
    ) -> None:
        super().__init__(inner)
        self._laned = inner
        self._guard = guard
        self._stamps = stamps
        self._bring_up = bring_up
        self._require_current = require_current
        self._is_ready = False
        self._is_admitted = False

    async def open(self) -> None:
        await super().open()
        await self._guard.look()
        if self._bring_up is None:
            await self._require_current(self._inner)
            self._is_ready = True

    async def prepare(self) -> None:
        await self._guard.look()
        if self._bring_up is not None:
            await self._bring_up(self._inner)
        self._is_ready = True
        await self._admit()

    async def ping(self) -> None:
        """Before the store is prepared, only whether it answers."""
        await super().ping()
        if self._is_admitted:
            await self._guard.compare()
        elif self._is_ready:
            await self._admit()

    async def close(self) -> None:
        if self._is_admitted:
            await self._guard.leave()
        await super().close()

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        if not self._is_admitted:
            raise StoreUnavailable("The target was not compared with the source yet.")
        try:
            applied = await self._laned.apply_by_lane(change_sets)
        except LaneLost:
            # Nothing was written. This may be another database now.
            self._is_admitted = False
            await self._admit()
            applied = await self._laned.apply_by_lane(change_sets)
        if applied.stamp is not None:
            self._stamps.note(change_sets, applied.stamp)
        return applied.outcomes

    async def _admit(self) -> None:
        await self._guard.admit()
        self._is_admitted = True
