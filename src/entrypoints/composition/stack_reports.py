"""What probes and commands report about the stores of a process."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from adapters.migration.comparing import differ_still
from adapters.migration.evidence import load_evidence, still_holds
from adapters.ownership import control
from adapters.records.described import Described
from adapters.records.on_disk import OnDisk
from adapters.records.record_store import RecordStore, SchemaGone, SchemaMissing, StoreRefused
from adapters.records.revisions import flaws_of
from application.ports.health import StoreFacts
from application.ports.migration import Verification
from application.ports.schema import OldRecords, SchemaFlaw, SchemaReport, SchemaState
from domain.errors import StoreUnavailable
from entrypoints.composition.schema import StoreSchema
from entrypoints.composition.store_stack import StoreStack
from entrypoints.composition.stores import CompleteStore

PROBE_TIMEOUT_SECONDS = 2.0
FILES_INTERVAL_SECONDS = 1.0


async def until_files_are_gone(stack: StoreStack) -> None:
    """Never returns. Raises StoreRefused once files were removed of the store that owns the writes, while in use.

    A target without its files is only not mirrored to.
    """
    while True:
        owner = stack.direction.raw_source
        if isinstance(owner, OnDisk):
            owner.require_files()
        await asyncio.sleep(FILES_INTERVAL_SECONDS)


async def require_own_stores(stack: StoreStack) -> None:
    """Checks whose the opened stores are, before an operator changes their schema; changes no schema and no record.

    Raises StoreRefused for another installation's store, a mirror named as source, a target that another copy
    feeds, or a source that is an older copy, which a migration would write into; StoreUnavailable while that is not
    known.
    """
    held = await stack.ownership.inspect(stack.direction.look_at_target)
    target = stack.direction.target_side
    if target is not None:
        await (target.look_beside_new_source() if held is None else target.require_newest_source())


async def facts_of(stack: StoreStack) -> Mapping[str, StoreFacts]:
    """Facts about each store by name, except stores that do not answer."""
    facts = {}
    for store in stack.raw_stores:
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                facts[store.name] = (
                    await store.facts() if isinstance(store, Described) else StoreFacts(store.name)
                )
    return facts


async def flaws_in(stack: StoreStack, name: str) -> Sequence[SchemaFlaw]:
    """What somebody removed by hand from the current schema of a store. Raises StoreUnavailable."""
    (store,) = (one for one in stack.raw_stores if one.name == name)
    return await flaws_of(store)


async def schema_report_of(stack: StoreStack) -> SchemaReport:
    """The schema of the stores that answer and may be used; changes nothing."""
    states: list[SchemaState] = []
    waiting: list[OldRecords] = []
    unreadable: dict[str, str] = {}
    flaws: dict[str, Sequence[SchemaFlaw]] = {}
    for store in stack.raw_stores:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                await store.ping()
                await _require_own(stack, store)
            schema = StoreSchema([store])
            states += await schema.states()
            waiting += await schema.waiting()
            flaws[store.name] = await flaws_of(store)
        except StoreUnavailable as error:
            unreadable[store.name] = f"{store.name}: {_cause_of(stack, store) or error.message}"
        except StoreRefused as refused:
            unreadable[store.name] = f"{store.name}: {refused}"
        except TimeoutError:
            unreadable[store.name] = f"{store.name} does not answer."
    differences = None if stack.direction.raw_source.name in unreadable else await found_differences(stack)
    return SchemaReport(
        states=states, waiting=waiting, unreadable=unreadable, flaws=flaws, differences=differences
    )


async def found_differences(stack: StoreStack) -> str | None:
    """How many records the newest comparison has found to differ; None where it found none, or holds no longer, as when
    they only were on their way. Raises StoreUnavailable.
    """
    source, target = stack.direction.raw_source, stack.direction.raw_target
    held = None if target is None else await control.read(source)
    if target is None or held is None:
        return None
    found = await load_evidence(source)
    if found is None or found.difference_count == 0 or not still_holds(found, held.ownership):
        return None
    if found.difference_count == len(found.differences) and await _have_arrived(source, target, found):
        return None
    return (
        f"{found.difference_count} records differ between {source.name} and {target.name}, as a comparison that ended"
        f" at {found.ended_at:%Y-%m-%d %H:%M UTC} has found."
    )


async def _have_arrived(source: CompleteStore, target: CompleteStore, found: Verification) -> bool:
    try:
        return not await differ_still(source, target, found.differences)
    except StoreUnavailable:
        return False  # nobody knows


def _cause_of(stack: StoreStack, store: RecordStore) -> str | None:
    """Why a target that does not answer is not called, which says more than an attempt without a connection."""
    target = stack.direction.target
    return target.breaker.reason if target is not None and store is stack.direction.raw_target else None


async def _require_own(stack: StoreStack, store: RecordStore) -> None:
    """Raises StoreUnavailable and StoreRefused for an opened store that a start would not use."""
    try:
        await control.read(store)
    except SchemaMissing as missing:
        # Otherwise nothing was made yet, which is no reason.
        if isinstance(missing, SchemaGone):
            raise
    if store is stack.direction.raw_target and stack.direction.target_side is not None:
        await stack.direction.target_side.look()
    elif (obstacle := stack.obstacle()) is not None:
        raise StoreUnavailable(obstacle)
