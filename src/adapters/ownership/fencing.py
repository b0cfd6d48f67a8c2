"""Ends the lanes of other processes, so that nothing that they have sent is stored any more."""

from collections.abc import Callable

from adapters.ownership import control
from adapters.ownership.control import Held, Ownership
from adapters.records.lanes import Lane, LanedStore, ProcessIdentity


def _any(_: Lane) -> bool:
    return True


async def close_lanes(store: LanedStore, *, where: Callable[[Lane], bool] = _any) -> None:
    """Closes all open lanes, or those for which `where` holds. Raises StoreUnavailable.

    One by one, each in a transaction of its own: whoever held several could deadlock with their writers.
    """
    for lane in (await store.positions()).lanes.values():
        if lane.is_open and where(lane):
            await store.close_lane(lane.lane)


async def fence(store: LanedStore, held: Held, ownership: Ownership, by: ProcessIdentity) -> Held:
    """Replaces the control record that was read, by a lane of this process, and then closes all lanes: one registered
    in between would belong to the new record. Raises VersionConflict and StoreUnavailable.
    """
    store.admit(held.admission(by))
    written = await control.write(store, ownership, over=held)
    store.admit(None)
    await close_lanes(store)
    return written
