"""Records in older forms than today's: how many wait in a store, and how they are stored anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from adapters.records.record import ID
from adapters.records.record_store import RecordStore
from adapters.records.specs import SPECS
from application.ports.schema import OldRecords
from domain.errors import AlreadyExists, RuleBroken

PAGE = 500
"""Records that are looked at, and at most rewritten, in one call: short enough for writers to get between."""
LOOKED_AT_MAX = 20_000
"""How many records of a collection are counted before the count says that there are more."""


@dataclass(frozen=True, slots=True)
class StoredForm:
    """In which form one record is stored. What does not fit cannot be read as its entity, rewritten or not."""

    record_id: str
    is_current: bool
    fits: bool


@runtime_checkable
class Upgradable(Protocol):
    """A store that upgrades what it reads. All methods raise StoreUnavailable."""

    async def forms(self, collection: str, *, after: str | None, limit: int) -> list[StoredForm]:
        """The forms of at most `limit` records with ids above `after`, by id."""
        ...

    async def rewrite(self, collection: str, ids: Sequence[str]) -> int:
        """Stores those of the records that are old in the form in which they are read; returns how many it was.

        Nothing has happened to them, so their versions stay, there are no entries, and nothing is mirrored: a target
        upgrades its own copy when it reads it. A record that somebody changes at the same time is left to him.
        """
        ...


async def waiting_in(store: RecordStore, collection: str) -> OldRecords:
    """How many of the first LOOKED_AT_MAX records wait for an upgrade; changes nothing."""
    return await _walked(store, collection, is_rewriting=False)


async def rewritten_in(store: RecordStore, collection: str) -> OldRecords:
    """Stores all old records of a collection in today's form, page by page; says what it did and what is left.

    Safe beside writers and in the middle of a crash: each page is whole, and what is left is found again.
    """
    return await _walked(store, collection, is_rewriting=True)


async def _walked(store: RecordStore, collection: str, *, is_rewriting: bool) -> OldRecords:
    looked_at = old = unfit = rewritten = 0
    after: str | None = None
    while is_rewriting or looked_at < LOOKED_AT_MAX:
        forms = await _forms(store, collection, after)
        looked_at += len(forms)
        unfit += sum(not form.fits for form in forms)
        waiting = [form.record_id for form in forms if not form.is_current and form.fits]
        old += len(waiting)
        if is_rewriting and waiting and isinstance(store, Upgradable):
            rewritten += await _rewritten(store, collection, waiting)
        if len(forms) < PAGE:
            break
        after = forms[-1].record_id
    return OldRecords(
        store=store.name,
        collection=collection,
        looked_at=looked_at,
        waiting=old - rewritten,
        unfit=unfit,
        rewritten=rewritten,
        is_complete=is_rewriting or looked_at < LOOKED_AT_MAX,
    )


async def _rewritten(store: Upgradable, collection: str, ids: Sequence[str]) -> int:
    """All at once; where one of them meets a unique value that is taken, one by one, and that one stays as it is."""
    try:
        return await store.rewrite(collection, ids)
    except (AlreadyExists, RuleBroken):
        if len(ids) == 1:
            return 0
        return sum([await _rewritten(store, collection, [record_id]) for record_id in ids])


async def _forms(store: RecordStore, collection: str, after: str | None) -> list[StoredForm]:
    if isinstance(store, Upgradable):
        return await store.forms(collection, after=after, limit=PAGE)
    # Such a store gave everything today's form when it was opened.
    fits = SPECS[collection].shape.fits
    records = await store.scan(collection, after=after, limit=PAGE)
    return [StoredForm(record[ID], is_current=True, fits=fits(record)) for record in records]
