"""The methods of LanedStore that move no records, once for every store that keeps lanes."""

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from adapters.records.lanes import Admission, Positions


class StoredLanes(Protocol):
    """The lanes of a store, and what it has seen of others, as its adapter reads and writes them."""

    async def close(self, lane: int) -> int:
        """See LanedStore.close_lane."""
        ...

    async def beat(self, process: str) -> None:
        """Notes that a process is alive, on all of its open lanes."""
        ...

    async def positions(self, *, with_checkpointed: bool) -> Positions:
        """See LanedStore."""
        ...

    async def add_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> bool:
        """See LanedStore."""
        ...

    async def see_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> None:
        """See LanedStore."""
        ...

    async def cut(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        ...

    async def lower(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        ...


class OwnLanes(Protocol):
    """The lanes by which this process writes."""

    @property
    def admission(self) -> Admission | None:
        """The present admission."""
        ...

    def admit(self, admission: Admission | None) -> None:
        """See LanedStore."""
        ...

    def forget_admission(self) -> None:
        """See LanedStore."""
        ...

    async def register(self) -> None:
        """See LanedStore."""
        ...


LanesT = TypeVar("LanesT", bound=StoredLanes)
OwnLanesT = TypeVar("OwnLanesT", bound=OwnLanes)


class LaneOperations(Generic[LanesT, OwnLanesT]):
    """For a store to inherit, which sets both attributes when it is made."""

    _lanes: LanesT
    _own_lanes: OwnLanesT

    def admit(self, admission: Admission | None) -> None:
        """See LanedStore."""
        self._own_lanes.admit(admission)

    def forget_admission(self) -> None:
        """See LanedStore."""
        self._own_lanes.forget_admission()

    async def register(self) -> None:
        """See LanedStore."""
        await self._own_lanes.register()

    async def close_lane(self, lane: int) -> int:
        """See LanedStore."""
        return await self._lanes.close(lane)

    async def beat(self) -> None:
        """See LanedStore."""
        admission = self._own_lanes.admission
        if admission is not None:
            await self._lanes.beat(admission.by.process)

    async def positions(self, *, with_checkpointed: bool = False) -> Positions:
        """See LanedStore."""
        return await self._lanes.positions(with_checkpointed=with_checkpointed)

    async def add_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> bool:
        """See LanedStore."""
        return await self._lanes.add_checkpoint(numbers, checkpoint=checkpoint)

    async def see_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> None:
        """See LanedStore."""
        await self._lanes.see_checkpoint(numbers, checkpoint=checkpoint)

    async def cut(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        await self._lanes.cut(numbers)

    async def lower(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        await self._lanes.lower(numbers)
