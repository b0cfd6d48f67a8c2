"""Whether the settings agree with what the control records of the stores say. Nothing is written."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.ownership import control, refusals
from adapters.ownership.control import Ownership, Role
from adapters.ownership.last_seen import LastSeen
from adapters.records.record_store import NothingStored, RecordStore, SchemaMissing, StoreRefused
from domain.errors import StoreUnavailable
from entrypoints.composition.inspection import inspected
from entrypoints.composition.settings import Settings, StoreSettings
from entrypoints.composition.stores import build_store

READ_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the stores say of who owns the writes. `remedy` is None where the settings agree, as far as was checked."""

    message: str
    remedy: str | None = None


async def agreement_of(settings: Settings) -> Agreement:
    """Opens the stores of these settings to be read, for a few seconds at most."""
    stores = settings.stores
    raw = [build_store(name, stores) for name in stores.named]
    found = dict(zip(stores.named, await asyncio.gather(*map(_looked_at, raw)), strict=True))
    records = {name: one for name, one in found.items() if isinstance(one, Ownership)}
    unread = {name: one for name, one in found.items() if isinstance(one, str)}
    contradiction = contradiction_of(stores, records)
    if contradiction is not None:
        return Agreement(contradiction.cause, contradiction.remedy)
    if unread:
        causes = " ".join(f"{name}: {cause}" for name, cause in unread.items())
        return Agreement(f"Not known, because a store cannot be read now. {causes}")
    owner = owner_of(records)
    if owner is not None:
        return Agreement(f"{owner.store} owns the writes (epoch {owner.epoch}).")
    lost = await asyncio.to_thread(_lost_source, stores, records)
    if lost is not None:
        return Agreement(lost.cause, lost.remedy)
    return Agreement("No store belongs to an installation yet.")


def _lost_source(stores: StoreSettings, records: Mapping[str, Ownership]) -> StoreRefused | None:
    """Why a start would not take the source, which holds nothing, for a new one; None where it would."""
    copy = next(iter(records.values()), None)
    if copy is not None:
        return refusals.emptied_source(stores.source, copy)
    try:
        LastSeen(stores.lasting_directory).require_unknown(stores.source)
    except StoreRefused as refused:
        return refused
    return None


def contradiction_of(stores: StoreSettings, records: Mapping[str, Ownership]) -> StoreRefused | None:
    """Why these settings do not fit the control records, by name of the store, and what helps; None where they fit.

    With two stores the records decide which one is the source, so the order in the settings says nothing. But a store
    that takes part no more must not be named.
    """
    own = records.get(stores.source)
    if stores.target is None:
        return (
            refusals.foreign_source(stores.source, own)
            if own is not None and own.role is not Role.OWNER
            else None
        )
    owner = owner_of(records)
    if owner is None:
        return None
    if owner.store != stores.source and owner.mirror_to is None:
        return refusals.other_owner(stores.source, owner)
    if own is not None and own.role is Role.OWNER and own.epoch < owner.epoch:
        return refusals.stale_owner(own, owner)
    return None


def owner_of(records: Mapping[str, Ownership]) -> Ownership | None:
    """The owner with the highest epoch."""
    owners = [record for record in records.values() if record.role is Role.OWNER]
    return max(owners, key=lambda record: record.epoch, default=None)


async def _looked_at(store: RecordStore) -> Ownership | str | None:
    """The control record; None where there is none, or why it cannot be read."""
    problem = await inspected(store)
    if problem is not None:
        await store.close()
        return None if isinstance(problem, NothingStored) else str(problem)
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            held = await control.read(store)
    except SchemaMissing:
        return None
    except (StoreUnavailable, StoreRefused) as error:
        return str(error)
    except TimeoutError:
        return f"{store.name} does not answer."
    finally:
        await store.close()
    return None if held is None else held.ownership
