"""What a recovery writes into the control record of the owner, whose gate stays closed for everybody else."""

from collections.abc import Callable
from dataclasses import replace

from adapters.ownership import refusals
from adapters.ownership.control import Gate, Ownership
from adapters.ownership.source_side import SourceSide


async def begin_recovery(source: SourceSide, epoch: int) -> None:
    """Takes writes of this recovery only, in any process: all others belong to an earlier epoch.

    Raises StoreUnavailable.
    """
    source.refusal = refusals.older_source(source.store.name, source.target_name)
    await source.change(lambda now: replace(now, gate=Gate.CLOSED, epoch=max(epoch, now.epoch + 1)))
    await source.close_lanes()
    source.admit(await source.required())


async def change_in_recovery(source: SourceSide, changed: Callable[[Ownership], Ownership]) -> None:
    """`change` between `begin_recovery` and `end_recovery`."""
    await source.change(changed)
    source.admit(await source.required())


async def end_recovery(source: SourceSide) -> Ownership:
    """Takes writes again: the source lacks nothing that its target has seen. Raises StoreUnavailable."""
    held = await source.change(Ownership.after_recovery)
    source.admit(held)
    await source.open_gate(held)
    return held.ownership
