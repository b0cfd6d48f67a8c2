"""Puts in place what an older version left where today's does not look for it, as changes that Tandem itself makes.

What is out of place changes its content, or its id, so unlike a new form it is no matter of each store by itself: it
goes through ordinary change sets, with versions, entries and the mirror, and is never done behind somebody's back.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, CorruptRecord, Record, is_tombstone
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL, SPECS, TASKS, TEAM_MEMBERS, WATCHLISTS
from adapters.repositories.places import Place, place_memberships, place_tasks, place_watches
from adapters.repositories.unit_of_work import StoredUnitOfWork
from application.actor import system_actor
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.schema import OutOfPlace
from application.retrying import retry_conflicts
from domain.entity import Stamp
from domain.errors import Conflict, MirrorPending, RuleBroken

PAGE = 200
"""Records that are looked at, and at most changed, in one change set: short enough for writers to get between."""
LOOKED_AT_MAX = 20_000
"""How many records of a collection are counted before the count says that there are more."""
PLACING_ID = "placing"
PLACES_REVISION = 1
"""Which places this program knows: whoever adds one raises it, so that stores are gone through once more."""

PLACES: dict[str, Place] = {
    TASKS.collection: place_tasks,
    WATCHLISTS.collection: place_watches,
    TEAM_MEMBERS.collection: place_memberships,
}


_LEFT_ALONE = (Conflict, RuleBroken, CorruptRecord)
"""What keeps one thing from being put in place, and no other."""


class Placing:
    """Goes through one store, which owns its writes. Safe beside a service, in several processes, and after a crash:
    every page is one change set, and what is left is found again.
    """

    def __init__(self, store: RecordStore, identifiers: Identifiers, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        actor = system_actor(f"placing-{identifiers.fresh()}")
        self._actor_id = actor.id
        self._begin = partial(StoredUnitOfWork, store, identifiers, actor)

    async def waiting(self) -> Sequence[OutOfPlace]:
        """How many of the first LOOKED_AT_MAX records of each collection are out of place; changes nothing."""
        return [await self._walked(collection, is_placing=False) for collection in PLACES]

    async def put_in_place(self) -> Sequence[OutOfPlace]:
        """Puts everything in place that nobody else is changing, and says what is left. May be repeated."""
        done = [await self._walked(collection, is_placing=True) for collection in PLACES]
        if not any(one.waiting for one in done):
            await self._note()
        return done

    async def is_done(self) -> bool:
        """Whether somebody has put everything in place in this store that this program knows a place for."""
        noted = await self._noted()
        return noted is not None and int(noted["value"]["revision"]) >= PLACES_REVISION

    async def _walked(self, collection: str, *, is_placing: bool) -> OutOfPlace:
        looked_at = waiting = placed = 0
        after: str | None = None
        while is_placing or looked_at < LOOKED_AT_MAX:
            records = await self._store.scan(collection, after=after, limit=PAGE)
            looked_at += len(records)
            fits = SPECS[collection].shape.fits
            ids = [record[ID] for record in records if not is_tombstone(record) and fits(record)]
            if is_placing:
                put, left = await self._placed(collection, ids)
                placed, waiting = placed + put, waiting + left
            else:
                waiting += await self._counted(collection, ids)
            if len(records) < PAGE:
                break
            after = records[-1][ID]
        return OutOfPlace(
            collection=collection,
            looked_at=looked_at,
            waiting=waiting,
            placed=placed,
            is_complete=is_placing or looked_at < LOOKED_AT_MAX,
        )

    async def _placed(self, collection: str, ids: Sequence[str]) -> tuple[int, int]:
        """How many were put in place, and how many stay as they are. Where one cannot be, the others go without it."""
        if not ids:
            return 0, 0
        try:
            return await self._attempt(collection, ids), 0
        except _LEFT_ALONE:
            if len(ids) == 1:
                return 0, await self._counted(collection, ids)
        half = len(ids) // 2
        first, second = await self._placed(collection, ids[:half]), await self._placed(collection, ids[half:])
        return first[0] + second[0], first[1] + second[1]

    @retry_conflicts()
    async def _attempt(self, collection: str, ids: Sequence[str]) -> int:
        work = self._begin()
        count = await PLACES[collection](work, ids, self._stamp())
        # Where only the mirror is late the change set is durable, and the relay brings it over.
        with suppress(MirrorPending):
            await work.commit()
        return count

    async def _counted(self, collection: str, ids: Sequence[str]) -> int:
        """How many are out of place; what cannot be read has none."""
        try:
            return await PLACES[collection](self._begin(), ids, self._stamp()) if ids else 0
        except _LEFT_ALONE:
            if len(ids) == 1:
                return 0
        half = len(ids) // 2
        return await self._counted(collection, ids[:half]) + await self._counted(collection, ids[half:])

    def _stamp(self) -> Stamp:
        return Stamp(self._clock.now(), self._actor_id)

    async def _noted(self) -> Record | None:
        return (await self._store.fetch(CONTROL.collection, (PLACING_ID,))).get(PLACING_ID)

    async def _note(self) -> None:
        noted = await self._noted()
        version = 0 if noted is None else int(noted[VERSION])
        if noted is not None and noted["value"] == {"revision": PLACES_REVISION}:
            return
        record: Record = {ID: PLACING_ID, VERSION: version + 1, "value": {"revision": PLACES_REVISION}}
        # Whoever noted something at the same moment went through all of it, too.
        with suppress(Conflict):
            await self._store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))
