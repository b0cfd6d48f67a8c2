"""Stores a plan. It can be stopped anywhere and run again: what is stored already is left out."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Final

from adapters.adoption.changes import Next, change_set_of, has_changed, later_history, next_version, removal
from adapters.adoption.plan import Plan, Planned
from adapters.adoption.quarantine import QuarantinedDocuments, require_exceptions, resolved
from adapters.records.adoption_state import ADOPTION_ID, State, adopted_in, noted
from adapters.records.change_set import ChangeSet, Put
from adapters.records.control_records import DISPLAY_NUMBERS_ID, RESERVED, read_control, write_control
from adapters.records.criteria import AllOf, Equals, OneOf, Order, Question
from adapters.records.record import ID, IS_DELETED, VERSION, CorruptRecord, Record, is_tombstone
from adapters.records.record_store import FETCH_MAX, SCAN_MAX, RecordStore
from adapters.records.specs import AUDIT_LOGS, CONTROL, SPECS, USERS
from application.ports.adoption import SetAside
from domain.errors import Conflict

RECORDS_PER_COMMIT: Final = 50
WRITES_PER_COMMIT: Final = 500
DIFFERENCES_MAX: Final = 20
_OTHER_STORE: Final = "Name an empty database with DB_NAME (or POSTGRES_URL), and an empty DATA_DIR."
_EMPTY: Final = ("users", "projects", "teams", "labels", "tasks", "task_assignments", "watchlists")
_ADOPTED: Final = (
    "users",
    "roles",
    "teams",
    "team_members",
    "labels",
    "tasks",
    "task_assignments",
    "watchlists",
)
"""The collections whose records an adoption makes."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An adoption in this store: when it began, and whether it was completed before."""

    at: datetime
    is_done: bool


def not_empty() -> Conflict:
    """The error where a store that has adopted nothing holds records already."""
    return Conflict(
        f"The store already holds records of Tandem, so nothing can be adopted into it. {_OTHER_STORE}"
    )


def adopted_another(database: str) -> Conflict:
    """The error where a store adopts this database and has begun to adopt another one."""
    return Conflict(
        f"The store has adopted another database, so {database} cannot be adopted into it. {_OTHER_STORE}"
    )


async def holds_records(store: RecordStore) -> bool:
    """Whether a store holds records of the kinds that an adoption makes. Raises StoreUnavailable."""
    for collection in _EMPTY:
        if await store.scan(collection, after=None, limit=1):
            return True
    return False


class Adoption:
    """An adoption of `database` into a store. Every method raises StoreUnavailable."""

    def __init__(self, store: RecordStore, *, database: str) -> None:
        self._store, self._database = store, database
        self._quarantine = QuarantinedDocuments(store)

    async def begin(self, now: datetime) -> Begun:
        """Claims the store for the adoption, or goes on with one. Raises Conflict for a store with other records."""
        held = await adopted_in(self._store)
        if held is not None:
            if held.database != self._database:
                raise adopted_another(self._database)
            return Begun(held.at, held.state is State.DONE)
        if await holds_records(self._store):
            raise not_empty()
        await self._store.commit(ChangeSet((await self._note(State.RUNNING, now),)))
        return Begun(now, is_done=False)

    async def store(self, plan: Plan, begun: Begun, on_progress: Callable[[int, int], None]) -> int:
        """Stores what is not there yet; returns how many records were written.

        A completed adoption only takes over documents that were in quarantine: everything else belongs to Tandem since.
        """
        require_exceptions(plan.set_aside)
        planned: Sequence[Planned] = plan.records
        corrected: Mapping[str, Sequence[Record]] = {}
        if begun.is_done:
            corrected = await self._quarantine.corrected(plan)
            planned = [one for one in planned if not corrected.keys().isdisjoint(one.sources)]
        else:
            await self._remove_surplus(plan, begun)
        written = done = 0
        for collection, chunk in _chunks(planned):
            changes = await self._changes(collection, chunk, begun)
            for part in _parts(_with_resolved(changes, chunk, corrected)):
                await self._store.commit(change_set_of(part, at=begun.at, origin=self._database))
            written, done = written + len(changes), done + len(chunk)
            on_progress(done, len(planned))
        if not begun.is_done:
            await self._store_loose(plan, begun)
        return written

    async def _remove_surplus(self, plan: Plan, begun: Begun) -> None:
        """Removes the records of documents that were removed since an adoption that was interrupted stored them, or
        that cannot be taken over any more. They make room for others with the same unique values.
        """
        async for collection, found in self._surplus(plan):
            last = await self._last_versions(collection, [one[ID] for one in found])
            removals = [removal(collection, one, last=last.get(one[ID], 0)) for one in found]
            await self._store.commit(change_set_of(removals, at=begun.at, origin=self._database))

    async def _surplus(self, plan: Plan) -> AsyncIterator[tuple[str, list[Record]]]:
        """The records that are stored and not planned, some of one collection at a time."""
        planned = frozenset((one.collection, one.id) for one in plan.records)
        for collection in _ADOPTED:
            after: str | None = None
            while page := await self._store.scan(collection, after=after, limit=SCAN_MAX):
                after = page[-1][ID]
                found = [
                    one for one in page if (collection, one[ID]) not in planned and not is_tombstone(one)
                ]
                for start in range(0, len(found), RECORDS_PER_COMMIT):
                    yield collection, found[start : start + RECORDS_PER_COMMIT]

    async def _changes(self, collection: str, chunk: Sequence[Planned], begun: Begun) -> list[Next]:
        """What is to be stored of these records. What a completed adoption stored belongs to people."""
        held = await self._store.fetch(collection, [one.id for one in chunk])
        # Before the adoption is complete, only the adoption itself has removed records.
        free = [one for one in chunk if one.id not in held or not begun.is_done]
        known = await self._known_entries([event.id for one in free for event in one.events])
        changed = [one for one in free if has_changed(one, held.get(one.id), known)]
        last = await self._last_versions(collection, [one.id for one in changed])
        return [next_version(one, held.get(one.id), known, last=last.get(one.id, 0)) for one in changed]

    async def _store_loose(self, plan: Plan, begun: Begun) -> None:
        """The history of records that do not exist: entries without a record."""
        for subject, events in plan.loose.items():
            collection, record_id = subject
            known = await self._known_entries([event.id for event in events])
            if new := [one for one in events if one.id not in known]:
                last = await self._last_versions(collection, [record_id])
                change = later_history(subject, new, last=last.get(record_id, 0))
                await self._store.commit(change_set_of([change], at=begun.at, origin=self._database))

    async def _last_versions(self, collection: str, ids: Sequence[str]) -> dict[str, int]:
        """The highest version of an entry about each of these records that has any."""
        about = Equals("collection", collection)
        if not await self._store.count(AUDIT_LOGS.collection, AllOf((about, OneOf("entityId", tuple(ids))))):
            return {}
        found: dict[str, int] = {}
        newest = Order(VERSION, descending=True)
        for id in ids:
            where = AllOf((about, Equals("entityId", id)))
            question = Question(collection=AUDIT_LOGS.collection, where=where, order=newest, limit=1)
            for entry in await self._store.find(question):
                found[id] = int(entry[VERSION])
        return found

    async def _known_entries(self, ids: Sequence[str]) -> frozenset[str]:
        found: set[str] = set()
        for start in range(0, len(ids), FETCH_MAX):
            found.update(await self._store.fetch(AUDIT_LOGS.collection, ids[start : start + FETCH_MAX]))
        return frozenset(found)

    async def keep_quarantine(self, plan: Plan, begun: Begun) -> Sequence[SetAside]:
        """Makes the documents that are set aside the quarantine, and returns it."""
        return await self._quarantine.keep(plan, is_done=begun.is_done)

    async def differences(self, plan: Plan, begun: Begun) -> list[str]:
        """What cannot be read as planned, in words; at most DIFFERENCES_MAX. After a completed adoption people may
        have changed everything, so only what is missing or unreadable counts.
        """
        found: list[str] = []
        for collection, chunk in _chunks(plan.records):
            held = await self._store.fetch(collection, [one.id for one in chunk])
            for one in chunk:
                trouble = _trouble(one, held.get(one.id), is_done=begun.is_done)
                found += [] if trouble is None else [f"{collection} {one.id} {trouble}"]
            if len(found) >= DIFFERENCES_MAX:
                return found[:DIFFERENCES_MAX]
        if not begun.is_done:
            async for collection, surplus in self._surplus(plan):
                found += [f"{collection} {one[ID]} is stored, but its document is gone" for one in surplus]
            found += await self._unknown_addresses(plan.emails)
        return found[:DIFFERENCES_MAX]

    async def _unknown_addresses(self, emails: Mapping[str, str]) -> list[str]:
        """The accounts that a sign-in with their address would not find."""
        found = []
        for email, user_id in emails.items():
            where = AllOf((Equals("email", email), Equals(IS_DELETED, value=False)))
            users = await self._store.find(Question(collection=USERS.collection, where=where, limit=2))
            if [user[ID] for user in users] != [user_id]:
                found.append(f"users {user_id} cannot be found by its e-mail address")
        return found

    async def complete(self, plan: Plan, begun: Begun) -> None:
        """Reserves the numbers in use, and says that the adoption is complete."""
        version, value = await read_control(self._store, DISPLAY_NUMBERS_ID)
        if value is None or value[RESERVED] < plan.highest_number:
            await write_control(
                self._store, DISPLAY_NUMBERS_ID, {RESERVED: plan.highest_number}, over=version
            )
        if not begun.is_done:
            await self._store.commit(ChangeSet((await self._note(State.DONE, begun.at),)))

    async def _note(self, state: State, at: datetime) -> Put:
        version, _ = await read_control(self._store, ADOPTION_ID)
        record: Record = {
            ID: ADOPTION_ID,
            VERSION: version + 1,
            "value": noted(self._database, state, at),
        }
        return Put(CONTROL.collection, record, version)


def _with_resolved(
    changes: Iterable[Next], chunk: Iterable[Planned], corrected: Mapping[str, Sequence[Record]]
) -> Iterator[Next]:
    """The changes; with the records made of documents in quarantine, the end of their quarantine."""
    sources = {one.id: one.sources for one in chunk}
    for change in changes:
        held = [record for id in sources[change.record_id] for record in corrected.get(id, ())]
        yield replace(change, beside=tuple(map(resolved, held)))


def _chunks(planned: Sequence[Planned]) -> Iterator[tuple[str, Sequence[Planned]]]:
    for collection, group in groupby(planned, key=lambda one: one.collection):
        found = list(group)
        for start in range(0, len(found), RECORDS_PER_COMMIT):
            yield collection, found[start : start + RECORDS_PER_COMMIT]


def _parts(changes: Iterable[Next]) -> Iterator[list[Next]]:
    """The changes of each commit: a record with its whole history, and more of them up to WRITES_PER_COMMIT."""
    part: list[Next] = []
    writes = 0
    for change in changes:
        size = len(change.events) + len(change.beside) + 2
        if part and writes + size > WRITES_PER_COMMIT:
            yield part
            part, writes = [], 0
        part.append(change)
        writes += size
    if part:
        yield part


def _trouble(planned: Planned, stored: Record | None, *, is_done: bool) -> str | None:
    """Why a record cannot be read as planned; None if it can."""
    if stored is None:
        return "is missing"
    if is_tombstone(stored):
        return None if is_done else "was permanently removed"
    try:
        SPECS[planned.collection].entity(stored)
    except CorruptRecord as error:
        return f"cannot be read: {error}"
    if is_done or {**planned.record, VERSION: stored[VERSION]} == stored:
        return None
    return "differs from its document, which changed meanwhile"
