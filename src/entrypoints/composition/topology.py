"""Which store owns writes and which one receives the mirror, as recorded in the stores themselves.

A process with other settings is refused: two owners would accept conflicting writes, and the writes of a process that
does not mirror would never reach the target.
"""

import secrets
from dataclasses import asdict, dataclass, replace

from loguru import logger

from adapters.dual_write.adoption import adopt_unmirrored
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore, StoreRefused
from adapters.records.specs import CONTROL
from adapters.records.wrapped_store import WrappedStore
from domain.errors import StoreUnavailable, VersionConflict
from entrypoints.composition.schema import bring_up, require_current, rewrite_once

TOPOLOGY_ID = "topology"
FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Topology:
    """The control record of one store: the owner of writes, the number of this ownership, the data set, and the target.

    `identity` is the same in a source and its target, and differs for every other data set. `copy` identifies one
    target: the source records the copy that it filled, so an empty database never passes for it.
    """

    owner: str
    epoch: int
    identity: str
    target: str | None = None
    copy: str | None = None


async def enter_as_source(store: RecordStore, *, target: str | None) -> Topology:
    """Checks or creates the topology of a store that shall own writes.

    If the target is new, everything written so far is queued for it. Raises StoreRefused if another store owns the
    writes, or if the store has a target and this process has another one or none.
    """
    held = await _read_or_create(store, Topology(store.name, FIRST_EPOCH, secrets.token_hex(8)))
    topology = Topology(**held["value"])
    if topology.owner != store.name:
        raise StoreRefused(
            f"This {store.name} store is a mirror: {topology.owner} owns the writes, and a write to the mirror would be"
            f" lost. Start with STORE=dual and DUAL_WRITE_SOURCE={topology.owner}."
        )
    if topology.target == target:
        return topology
    if topology.target is not None:
        raise StoreRefused(
            f"The writes of this {store.name} store are mirrored to {topology.target}, and writes without the mirror"
            f" would be missing there. Start with STORE=dual and DUAL_WRITE_TARGET={topology.target};"
            " DUAL_WRITE_ENABLED=false pauses the mirror."
        )
    adopted = await adopt_unmirrored(store)
    logger.info("Queued {} entries from before the mirror for {}.", adopted, target)
    mirrored = replace(topology, target=target)
    try:
        await _replace(store, held, mirrored)
    except VersionConflict:
        return await enter_as_source(store, target=target)
    return mirrored


async def enter_as_target(store: RecordStore, source: RecordStore) -> None:
    """Ties a target to the data that it mirrors. Raises StoreRefused if it holds other data or is another copy."""
    held = await _read(source)
    if held is None:
        raise StoreUnavailable("The source has no topology yet. Try again when it has been opened.")
    topology = Topology(**held["value"])
    first = replace(topology, copy=secrets.token_hex(8))
    found = Topology(**(await _read_or_create(store, first))["value"])
    if (found.owner, found.identity) != (topology.owner, topology.identity):
        raise StoreRefused(
            f"This {store.name} store holds other data: it belongs to {found.owner} {found.identity}, and the source is"
            f" {topology.owner} {topology.identity}. Use an empty database, or the one that belongs to the source."
        )
    if topology.copy is None:
        try:
            await _replace(source, held, replace(topology, copy=found.copy))
        except VersionConflict:
            await enter_as_target(store, source)
    elif topology.copy != found.copy:
        raise StoreRefused(
            f"This {store.name} store is not the copy that the source has filled, so everything mirrored so far would"
            " be missing. Use the earlier database."
        )


class GuardedTarget(WrappedStore):
    """A target may become available long after the process has started, so its checks stand here and not in the start.

    `open` raises UnmigratedStore where an operator migrates, and StoreRefused where the target holds other data.
    """

    def __init__(self, inner: RecordStore, *, source: RecordStore, migrates: bool) -> None:
        super().__init__(inner)
        self._source = source
        self._migrates = migrates

    async def open(self) -> None:
        await super().open()
        if not self._migrates:
            await require_current(self._inner)
            await enter_as_target(self._inner, self._source)

    async def prepare(self) -> None:
        await bring_up(self._inner)
        await enter_as_target(self._inner, self._source)
        await rewrite_once(self._inner)


async def _read(store: RecordStore) -> Record | None:
    return (await store.fetch(CONTROL.collection, [TOPOLOGY_ID])).get(TOPOLOGY_ID)


async def _read_or_create(store: RecordStore, first: Topology) -> Record:
    held = await _read(store)
    if held is not None:
        return held
    record: Record = {ID: TOPOLOGY_ID, VERSION: 1, "value": asdict(first)}
    try:
        await store.commit(ChangeSet((Put(CONTROL.collection, record, 0),)))
    except VersionConflict:
        # Another process was first, and its record holds for this one too.
        return await _read(store) or record
    return record


async def _replace(store: RecordStore, held: Record, topology: Topology) -> None:
    """Raises VersionConflict if another process was first."""
    version = int(held[VERSION])
    record: Record = {**held, VERSION: version + 1, "value": asdict(topology)}
    await store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))
