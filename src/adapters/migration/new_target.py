"""A new, empty store in place of a target that is lost."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from adapters.ownership import control, refusals
from adapters.ownership.control import Gate, Ownership, Role
from adapters.ownership.source_side import SourceSide
from adapters.records.lanes import LanedStore
from adapters.records.record_store import RecordStore, SchemaMissing
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from domain.errors import Conflict, VersionConflict
from domain.migration import NEXT, Phase


async def take_new_target(
    source: SourceSide, target: LanedStore, *, bring_up: Callable[[RecordStore], Awaitable[None]]
) -> Ownership:
    """Makes an empty store the target of this source, and returns its control record. `bring_up` creates its tables.

    First everything that was known of the lost target is void, then the new one is entered: a crash in between leaves
    an empty store that is refused, and the operation can be repeated. The next comparison finds that the target lacks
    all that was delivered, and delivers it again. Raises Conflict for a store that is not empty and for a source that
    takes no writes, and StoreUnavailable.
    """
    await require_empty(target)
    owner = (await source.change(_with_new_target)).ownership
    target.forget_admission()
    try:
        await bring_up(target)
        return (await control.write(target, owner.of_mirror(target.name), over=None)).ownership
    except VersionConflict:
        raise Conflict("Another process has just entered this target. See: tandem move status") from None
    finally:
        target.admit(None)


async def require_empty(target: LanedStore) -> None:
    """Raises Conflict for a store with a control record or with any record, and StoreUnavailable."""
    try:
        held = await control.read(target)
    except SchemaMissing:
        held = None
    if held is not None:
        raise Conflict(refusals.filled_target(target.name, held.ownership))
    for spec in (*ENTITY_SPECS, AUDIT_LOGS):
        try:
            found = await target.scan(spec.collection, after=None, limit=1)
        except SchemaMissing:
            continue
        if found:
            raise Conflict(refusals.filled_target(target.name, None))


def _with_new_target(now: Ownership) -> Ownership:
    if now.role is not Role.OWNER or now.gate is not Gate.OPEN or now.move is not None:
        raise refusals.other_move(now.move)
    if now.mirror_to is None:
        raise Conflict(f"Nothing is mirrored. {NEXT[Phase.SINGLE]}")
    return replace(now.with_next_incarnation(), phase=Phase.MIRRORING)
