"""Counts the records that a store holds in an old format, and rewrites them in today's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from loguru import logger

from adapters.records.criteria import EVERYTHING, AllOf, Question, Range
from adapters.records.damage import LEFT_OUT_MAX, all_but
from adapters.records.record import ID, CorruptRecord, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import SPECS
from application.ports.schema import UNFIT_NAMED_MAX, OldRecords
from domain.errors import AlreadyExists, RuleBroken

PAGE = 500
"""Records read, and at most rewritten, in one call: short enough for other writes in between."""
PROGRESS_RECORDS = 20_000
"""Rewritten records between progress messages in the log."""
LOOKED_AT_MAX = 20_000
"""Records of a collection that are counted; the count of a larger collection says that there are more."""


@dataclass(frozen=True, slots=True)
class StoredFormat:
    """The format of one stored record. A record that does not fit its schema cannot be read as an entity at all."""

    record_id: str
    is_current: bool
    fits: bool


@runtime_checkable
class Upgradable(Protocol):
    """A store that upgrades the records it reads. All methods raise StoreUnavailable."""

    async def formats(self, collection: str, *, after: str | None, limit: int) -> list[StoredFormat]:
        """The formats of at most `limit` records with ids above `after`, by id."""

    async def rewrite(self, collection: str, ids: Sequence[str]) -> int:
        """Stores the old ones among the records in the format in which they are read; returns how many.

        Their content does not change, so their versions stay, there are no entries, and nothing is mirrored: a target
        upgrades its own copy when it reads it. A record that is changed at the same time is left to that writer.

        Advances a lane, as every write does once the process is admitted. Raises LaneLost where that is impossible.
        """


async def waiting_in(store: RecordStore, collection: str) -> OldRecords:
    """How many of the first LOOKED_AT_MAX records are old; changes nothing."""
    return await _walked(store, collection, is_rewriting=False)


async def rewritten_in(store: RecordStore, collection: str) -> OldRecords:
    """Stores all old records of a collection in today's format, page by page; returns the counts.

    Safe with concurrent writers and after a crash: each page is atomic, and the next run finds the rest.
    """
    return await _walked(store, collection, is_rewriting=True)


async def _walked(store: RecordStore, collection: str, *, is_rewriting: bool) -> OldRecords:
    looked_at = old = unfit = rewritten = 0
    unfit_ids: list[str] = []
    after: str | None = None
    while is_rewriting or looked_at < LOOKED_AT_MAX:
        formats = await _formats(store, collection, after)
        looked_at += len(formats)
        unfit_here = [one.record_id for one in formats if not one.fits]
        unfit += len(unfit_here)
        unfit_ids += unfit_here[: UNFIT_NAMED_MAX - len(unfit_ids)]
        waiting = [one.record_id for one in formats if not one.is_current and one.fits]
        old += len(waiting)
        if is_rewriting and waiting and isinstance(store, Upgradable):
            rewritten += await _rewritten(store, collection, waiting)
            if rewritten // PROGRESS_RECORDS > (rewritten - len(waiting)) // PROGRESS_RECORDS:
                logger.info("{}: {} records of {} rewritten.", store.name, rewritten, collection)
        if len(formats) < PAGE:
            break
        after = formats[-1].record_id
    return OldRecords(
        store=store.name,
        collection=collection,
        looked_at=looked_at,
        waiting=old - rewritten,
        unfit=unfit,
        rewritten=rewritten,
        is_complete=is_rewriting or looked_at < LOOKED_AT_MAX,
        unfit_ids=tuple(unfit_ids),
    )


async def _rewritten(store: Upgradable, collection: str, ids: Sequence[str]) -> int:
    """Rewrites all at once, or one by one where one of them has a unique value that is taken; that one stays old."""
    try:
        return await store.rewrite(collection, ids)
    except (AlreadyExists, RuleBroken):
        if len(ids) == 1:
            return 0
        return sum([await _rewritten(store, collection, [record_id]) for record_id in ids])


async def _formats(store: RecordStore, collection: str, after: str | None) -> list[StoredFormat]:
    if isinstance(store, Upgradable):
        return await store.formats(collection, after=after, limit=PAGE)
    # Every record of such a store has today's format: its checks, or its opening, see to that.
    fits = SPECS[collection].is_readable
    records, damaged = await _decoded(store, collection, after)
    formats = [StoredFormat(record[ID], is_current=True, fits=fits(record)) for record in records]
    formats += [StoredFormat(record_id, is_current=True, fits=False) for record_id in damaged]
    return sorted(formats, key=lambda one: one.record_id)


async def _decoded(store: RecordStore, collection: str, after: str | None) -> tuple[list[Record], list[str]]:
    """The records of the next page, and the ids of those among them that cannot be decoded."""
    damaged: list[str] = []
    beyond = EVERYTHING if after is None else Range(field=ID, above=after)
    while True:
        try:
            if not damaged:
                return await store.scan(collection, after=after, limit=PAGE), []
            where = AllOf((beyond, *map(all_but, damaged)))
            return await store.find(Question(collection=collection, where=where, limit=PAGE)), damaged
        except CorruptRecord as error:
            if error.record_id is None or len(damaged) >= LEFT_OUT_MAX:
                raise
            damaged.append(error.record_id)
