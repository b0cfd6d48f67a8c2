"""What every typed repository does the same way: read by id, page, go back in time, save."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from adapters.records.criteria import AllOf, Criterion, Equals, IsNull, Order, Question, Range
from adapters.records.record import ID, IS_DELETED, IS_ERASED, VERSION, Record, is_tombstone
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import AUDIT_LOGS, RecordSpec
from adapters.repositories.pending import Pending
from application.paging import Page, PageRequest, Position
from domain.audit import Action, undo
from domain.entity import Entity
from domain.errors import Conflict, NotFound, Purged

E = TypeVar("E", bound=Entity)

UNDO_PAGE = 200
ALL_MAX = 20_000
"""The most records a question without a page may answer."""


class StoredRepository(Generic[E]):
    """A typed repository over a record store, inside one unit of work."""

    def __init__(self, spec: RecordSpec[E], store: RecordStore, pending: Pending) -> None:
        self._spec = spec
        self._store = store
        self._pending = pending

    async def get(self, id: str) -> E:
        found = await self._fetch([id])
        record = found.get(id)
        if record is None:
            raise NotFound
        if is_tombstone(record):
            raise Purged
        return self._spec.mapping.from_record(record)

    async def get_many(self, ids: Iterable[str]) -> dict[str, E]:
        records = await self._fetch(list(dict.fromkeys(ids)))
        read = self._spec.mapping.from_record
        return {id_: read(record) for id_, record in records.items() if not is_tombstone(record)}

    async def at_version(self, id: str, version: int) -> E:
        current = (await self._fetch([id])).get(id)
        if current is None or not 1 <= version <= current[VERSION]:
            raise NotFound("There is no such version.")
        if is_tombstone(current):
            raise Purged
        if version == current[VERSION]:
            return self._spec.mapping.from_record(current)
        return self._spec.mapping.from_record(await self._undone(current, version))

    def save(self, entity: E, *, action: Action | None = None) -> None:
        self._pending.put(self._spec.collection, self._spec.mapping.to_record(entity), action)

    def rely_on(self, entity: E) -> None:
        self._pending.rely_on(self._spec.collection, entity.id, entity.version)

    async def _undone(self, current: Record, version: int) -> Record:
        """The record as it was: every later entry undone, newest first, under the stamps of the version's own entry."""
        state: Mapping[str, object] = current
        below: int = current[VERSION] + 1
        entry = current
        while below > version:
            entries = await self._entries_between(current[ID], version, below)
            if not entries or entries[0][VERSION] != below - 1:
                raise NotFound("This version is older than the audit trail.")
            for entry in entries:
                if entry[VERSION] > version:
                    state = undo(state, entry["changes"])
                below = entry[VERSION]
        stamps = {VERSION: version, "updatedAt": entry["at"], "updatedBy": entry["actorId"]}
        return {**state, **stamps}

    async def _entries_between(self, id_: str, lowest: int, below: int) -> list[Record]:
        where = AllOf(
            (
                Equals("collection", self._spec.collection),
                Equals("entityId", id_),
                Range(field=VERSION, at_least=lowest, below=below),
            )
        )
        order = Order(VERSION, descending=True)
        question = Question(collection=AUDIT_LOGS.collection, where=where, order=order, limit=UNDO_PAGE)
        return await self._store.find(question)

    async def _fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        collection, seen = self._spec.collection, self._pending.seen
        missing = [id_ for id_ in ids if (collection, id_) not in seen]
        for start in range(0, len(missing), FETCH_MAX):
            for record in (await self._store.fetch(collection, missing[start : start + FETCH_MAX])).values():
                self._pending.remember(collection, record)
        return {id_: seen[collection, id_] for id_ in ids if (collection, id_) in seen}

    async def _page(self, where: Sequence[Criterion], page: PageRequest, *, deleted: bool) -> Page[E]:
        scope = trash_scope() if deleted else (Equals(IS_DELETED, False),)  # noqa: FBT003 - a value
        criterion = AllOf((*scope, *where))
        records, next_position = await self._ordered(criterion, page)
        total = await self._store.count(self._spec.collection, criterion) if page.with_total else None
        read = self._spec.mapping.from_record
        return Page(items=[read(record) for record in records], next=next_position, total=total)

    async def _ordered(self, where: Criterion, page: PageRequest) -> tuple[list[Record], Position | None]:
        records = await self._store.find(page_question(self._spec.collection, where, page))
        more = len(records) > page.limit
        shown = [self._pending.remember(self._spec.collection, record) for record in records[: page.limit]]
        last = records[page.limit - 1] if more else None
        return shown, None if last is None else Position(last[page.sort.field], last[ID])

    async def _all(self, *where: Criterion) -> list[E]:
        question = Question(collection=self._spec.collection, where=AllOf(where), limit=ALL_MAX + 1)
        records = await self._store.find(question)
        if len(records) > ALL_MAX:
            raise Conflict(
                f"More than {ALL_MAX} {self._spec.collection} belong together; move some of them first."
            )
        read, remember = self._spec.mapping.from_record, self._pending.remember
        return [read(remember(self._spec.collection, record)) for record in records]


def trash_scope() -> tuple[Criterion, ...]:
    """What is in the trash and can still come back."""
    return (Equals(IS_DELETED, True), IsNull(IS_ERASED))  # noqa: FBT003 - a value


def page_question(collection: str, where: Criterion, page: PageRequest) -> Question:
    """The question for one page and the first record after it, which tells whether there is more."""
    after = None if page.after is None else (page.after.value, page.after.id)
    order = Order(page.sort.field, page.sort.descending)
    return Question(collection=collection, where=where, order=order, after=after, limit=page.limit + 1)
