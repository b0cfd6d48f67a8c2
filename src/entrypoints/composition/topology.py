"""Which store owns writes and which one follows, as the stores themselves remember it.

A process that was told otherwise is refused: two owners would be two truths, and a process that does not mirror would
write what the target never hears of.
"""

import secrets
from dataclasses import asdict, dataclass, replace

from loguru import logger

from adapters.dual_write.adoption import adopt_unmirrored
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore, StoreRefused
from adapters.records.specs import CONTROL
from domain.errors import StoreUnavailable, VersionConflict

ARRANGEMENT_ID = "arrangement"
FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What a store remembers: who owns the writes, how often that changed, which data it is, and who follows.

    `identity` tells this data from other data under the same names; a target has its source's. `copy` is a target's
    own: the source remembers which copy it has filled, so that an empty one is never taken for it.
    """

    owner: str
    epoch: int
    identity: str
    target: str | None = None
    copy: str | None = None


async def enter_as_source(store: RecordStore, *, target: str | None) -> Arrangement:
    """Takes up a store's arrangement as the owner of its writes, or makes the first one.

    Where a target is new, everything that was written before it is put in the queue for it. Raises StoreRefused where
    the store remembers another owner, or a target that this process was not told of.
    """
    held = await _held_or_made(store, Arrangement(store.name, FIRST_EPOCH, secrets.token_hex(8)))
    arrangement = Arrangement(**held["value"])
    if arrangement.owner != store.name:
        raise StoreRefused(
            f"This {store.name} store mirrors one whose writes {arrangement.owner} owns; writing here would be lost."
            f" Start with STORE=dual and DUAL_WRITE_SOURCE={arrangement.owner}."
        )
    if arrangement.target == target:
        return arrangement
    if arrangement.target is not None:
        raise StoreRefused(
            f"The writes of this {store.name} store are mirrored to {arrangement.target}, and a process that does not"
            f" would leave it behind. Start with STORE=dual and DUAL_WRITE_TARGET={arrangement.target};"
            " DUAL_WRITE_ENABLED=false pauses the mirror."
        )
    adopted = await adopt_unmirrored(store)
    logger.info("{} entries from before the mirror wait for {}.", adopted, target)
    mirrored = replace(arrangement, target=target)
    try:
        await _put(store, held, mirrored)
    except VersionConflict:
        return await enter_as_source(store, target=target)
    return mirrored


async def enter_as_target(store: RecordStore, source: RecordStore) -> None:
    """Ties a target to the data it mirrors. Raises StoreRefused where it holds anything else."""
    noted = await _held(source)
    if noted is None:
        raise StoreUnavailable("The source has not been arranged yet.")
    arrangement = Arrangement(**noted["value"])
    held = await _held_or_made(store, replace(arrangement, copy=secrets.token_hex(8)))
    remembered = Arrangement(**held["value"])
    if (remembered.owner, remembered.identity) != (arrangement.owner, arrangement.identity):
        raise StoreRefused(
            f"This {store.name} store holds other data: it belongs to {remembered.owner} {remembered.identity},"
            f" and the source is {arrangement.owner} {arrangement.identity}. Use an empty database, or the right one."
        )
    if arrangement.copy is None:
        try:
            await _put(source, noted, replace(arrangement, copy=remembered.copy))
        except VersionConflict:
            await enter_as_target(store, source)
    elif arrangement.copy != remembered.copy:
        raise StoreRefused(
            f"This {store.name} store is not the copy that the source has filled: everything mirrored so far would be"
            " missing in it, and nobody would notice. Use the one from before."
        )


async def arrangement_of(store: RecordStore) -> Arrangement | None:
    """What a prepared store remembers; None before its first start."""
    held = await _held(store)
    return None if held is None else Arrangement(**held["value"])


async def _held(store: RecordStore) -> Record | None:
    return (await store.fetch(CONTROL.collection, [ARRANGEMENT_ID])).get(ARRANGEMENT_ID)


async def _held_or_made(store: RecordStore, first: Arrangement) -> Record:
    held = await _held(store)
    if held is not None:
        return held
    record: Record = {ID: ARRANGEMENT_ID, VERSION: 1, "value": asdict(first)}
    try:
        await store.commit(ChangeSet((Put(CONTROL.collection, record, 0),)))
    except VersionConflict:
        # Another process was first; what it noted holds for this one too.
        return await _held(store) or record
    return record


async def _put(store: RecordStore, held: Record, arrangement: Arrangement) -> None:
    """Replaces what the store remembers. Raises VersionConflict where another process was first."""
    version = int(held[VERSION])
    record: Record = {**held, VERSION: version + 1, "value": asdict(arrangement)}
    await store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))
