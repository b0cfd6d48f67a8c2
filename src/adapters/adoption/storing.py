"""Stores a plan. It can be stopped anywhere and run again: what is stored already is left out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from adapters.adoption.changes import Next, change_set_of, first_version, next_version
from adapters.adoption.plan import Plan, Planned
from adapters.records.adoption_state import ADOPTION_ID, State, noted
from adapters.records.change_set import ChangeSet, Put
from adapters.records.control_records import DISPLAY_NUMBERS_ID, RESERVED, read_control, write_control
from adapters.records.criteria import AllOf, Equals, Question
from adapters.records.record import ID, IS_DELETED, VERSION, CorruptRecord, Record, is_tombstone
from adapters.records.record_store import FETCH_MAX, REASON_LENGTH_MAX, RecordStore
from adapters.records.specs import AUDIT_LOGS, CONTROL, SPECS, USERS
from application.ports.adoption import SetAside
from domain.errors import Conflict

ASIDE_PREFIX: Final = "adoption-aside:"
RECORDS_PER_COMMIT: Final = 50
WRITES_PER_COMMIT: Final = 500
RAW_LENGTH_MAX: Final = 1_000_000
"""The characters of a document that are kept in quarantine; the whole document stays in its own collection."""
DIFFERENCES_MAX: Final = 20
QUARANTINE_MAX: Final = 10_000
"""More documents than this are no exceptions: the database has another shape, or something has to be repaired first."""
TOO_LATE: Final = (
    "It was corrected after the adoption, but it belongs to a record that people may have changed since, or that does"
    " not exist. Make the change in Tandem."
)
_EMPTY: Final = ("users", "projects", "teams", "labels", "tasks", "task_assignments", "watchlists")


@dataclass(frozen=True, slots=True)
class Begun:
    """An adoption in this store: when it began, and whether it was completed before."""

    at: datetime
    is_done: bool


class Adoption:
    """An adoption of `database` into a store. Every method raises StoreUnavailable."""

    def __init__(self, store: RecordStore, *, database: str) -> None:
        self._store, self._database = store, database
        self._adopted_late: set[str] = set()

    async def begin(self, now: datetime) -> Begun:
        """Claims the store for the adoption, or goes on with one. Raises Conflict for a store with other records."""
        _, value = await read_control(self._store, ADOPTION_ID)
        if value is not None:
            if value["database"] != self._database:
                raise Conflict(
                    f"This store has adopted the database {value['database']}; adopt {self._database} into another one."
                )
            return Begun(datetime.fromisoformat(value["at"]), value["state"] == State.DONE)
        await self._require_empty()
        await self._note(State.RUNNING, now)
        return Begun(now, is_done=False)

    async def _require_empty(self) -> None:
        for collection in _EMPTY:
            if await self._store.scan(collection, after=None, limit=1):
                raise Conflict(
                    f"The store already holds {collection} of Tandem, so nothing can be adopted into it. Name an empty"
                    " database with DB_NAME (or POSTGRES_URL), and an empty DATA_DIR."
                )

    async def store(self, plan: Plan, begun: Begun, on_progress: Callable[[int, int], None]) -> int:
        """Stores what is not there yet; returns how many records were written.

        A completed adoption only takes over documents that were in quarantine: everything else belongs to Tandem since.
        """
        if len(plan.set_aside) > QUARANTINE_MAX:
            raise Conflict(
                f"{len(plan.set_aside)} documents cannot be taken over, which is too many to be exceptions (at most"
                f" {QUARANTINE_MAX}). Correct them, and look again: tandem adopt --dry-run"
            )
        planned: Sequence[Planned] = plan.records
        if begun.is_done:
            waiting = await self.aside()
            planned = [one for one in planned if not waiting.isdisjoint(one.sources)]
        written = done = 0
        for collection, chunk in _chunks(planned):
            written += await self._store_chunk(collection, chunk, begun)
            done += len(chunk)
            on_progress(done, len(planned))
        if not begun.is_done:
            await self._store_loose(plan, begun)
        return written

    async def _store_chunk(self, collection: str, chunk: Sequence[Planned], begun: Begun) -> int:
        held = await self._store.fetch(collection, [one.id for one in chunk])
        changes: list[Next] = []
        for one in chunk:
            stored = held.get(one.id)
            if stored is None:
                changes.append(first_version(one))
                self._adopted_late.update(one.sources if begun.is_done else ())
            elif not begun.is_done and not is_tombstone(stored):
                known = await self._known_entries([event.id for event in one.events])
                change = next_version(one, stored, known)
                changes += [] if change is None else [change]
        for part in _parts(changes):
            await self._store.commit(change_set_of(part, at=begun.at, origin=self._database))
        return len(changes)

    async def _store_loose(self, plan: Plan, begun: Begun) -> None:
        """The history of records that do not exist: entries without a record."""
        for (collection, record_id), events in plan.loose.items():
            known = await self._known_entries([event.id for event in events])
            change = Next(
                collection,
                record_id,
                None,
                0,
                tuple(one for one in events if one.id not in known),
                len(known),
            )
            if change.events:
                await self._store.commit(change_set_of([change], at=begun.at, origin=self._database))

    async def _known_entries(self, ids: Sequence[str]) -> frozenset[str]:
        found: set[str] = set()
        for start in range(0, len(ids), FETCH_MAX):
            found.update(await self._store.fetch(AUDIT_LOGS.collection, ids[start : start + FETCH_MAX]))
        return frozenset(found)

    async def keep_aside(self, plan: Plan, begun: Begun) -> Sequence[SetAside]:
        """Makes the documents that are set aside the quarantine, and returns it. What was corrected too late stays in
        it, what was removed from its collection does not.
        """
        held = {record[ID]: record for record in await self._held_aside()}
        wanted = {f"{ASIDE_PREFIX}{one.collection}:{one.id}": one for one in plan.set_aside}
        if begun.is_done:
            late = {id: record["value"] for id, record in held.items() if id not in wanted}
            corrected = plan.present - self._adopted_late
            wanted |= {
                id: SetAside(
                    collection=value["collection"], id=value["id"], reason=TOO_LATE, raw=value["raw"]
                )
                for id, value in late.items()
                if not value["isResolved"] and value["id"] in corrected
            }
        for id, one in wanted.items():
            value = {
                "collection": one.collection,
                "id": one.id,
                "reason": one.reason[:REASON_LENGTH_MAX],
                "raw": one.raw[:RAW_LENGTH_MAX],
                "isResolved": False,
            }
            await self._put_aside(id, value, held.get(id))
        for id, record in held.items():
            if id not in wanted and not record["value"]["isResolved"]:
                await self._put_aside(id, {**record["value"], "isResolved": True}, record)
        return list(wanted.values())

    async def _put_aside(self, id: str, value: dict[str, Any], held: Record | None) -> None:
        if held is not None and held["value"] == value:
            return
        version = 0 if held is None else int(held[VERSION])
        record: Record = {ID: id, VERSION: version + 1, "value": value}
        await self._store.commit(ChangeSet((Put(CONTROL.collection, record, version),)))

    async def aside(self) -> frozenset[str]:
        """The ids of the documents in quarantine."""
        return frozenset(
            record["value"]["id"] for record in await self._held_aside() if not record["value"]["isResolved"]
        )

    async def _held_aside(self) -> list[Record]:
        found: list[Record] = []
        after = ASIDE_PREFIX
        while page := await self._store.scan(CONTROL.collection, after=after, limit=RECORDS_PER_COMMIT):
            found += [record for record in page if record[ID].startswith(ASIDE_PREFIX)]
            after = page[-1][ID]
            if not after.startswith(ASIDE_PREFIX):
                break
        return found

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
            await self._note(State.DONE, begun.at)

    async def _note(self, state: State, at: datetime) -> None:
        version, _ = await read_control(self._store, ADOPTION_ID)
        await write_control(self._store, ADOPTION_ID, noted(self._database, state, at), over=version)


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
        size = len(change.events) + 2
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
