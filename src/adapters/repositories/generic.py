"""The common part of all typed repositories: read by id, page, reconstruct earlier versions, save."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar, Generic, TypeVar

from adapters.records.criteria import (
    RELEVANCE,
    AllOf,
    Criterion,
    Equals,
    IsNull,
    NotNull,
    Order,
    Question,
    Range,
    Scalar,
    conjuncts_of,
)
from adapters.records.damage import LEFT_OUT_MAX, all_but, note_damage
from adapters.records.fields import FieldKind
from adapters.records.record import (
    ID,
    IS_DELETED,
    IS_ERASED,
    VERSION,
    CorruptRecord,
    Record,
    is_tombstone,
)
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import AUDIT_LOGS, RecordSpec
from adapters.repositories.pending import Pending
from application.paging import BY_RELEVANCE, Page, PageRequest, Position, Sort
from domain.audit import Action, undo
from domain.entity import Entity, Stamp
from domain.errors import Conflict, NotFound, Purged
from domain.storable import INTEGER_MIN

E = TypeVar("E", bound=Entity)

LIVE = Equals(IS_DELETED, value=False)
"""Records outside the trash."""
UNDO_PAGE = 200
"""Entries read at once to reconstruct an earlier version; repositories with large entries read fewer."""
ALL_MAX = 20_000
"""The most records that a question without a page may return."""
_LOWEST: dict[FieldKind, Scalar] = {
    FieldKind.TEXT: "",
    FieldKind.INTEGER: INTEGER_MIN,
    FieldKind.INSTANT: datetime.min.replace(tzinfo=UTC),
    FieldKind.DAY: "",
}
"""The lowest value of each kind. A range from there on is every value, and a part of an index on every store."""


class StoredRepository(Generic[E]):
    """A typed repository over a record store, inside one unit of work. A subclass names the spec of its entities.

    A record that cannot be read is left out of pages and of `get_many`, and noted. Everything else that meets it raises
    CorruptRecord: a rule that must see every record cannot decide without it.
    """

    spec: RecordSpec[E]
    undo_page = UNDO_PAGE
    sorted_by: ClassVar[Mapping[str, str]] = {}
    """The stored field for each name in a sort that is not a field itself."""

    def __init__(self, store: RecordStore, pending: Pending) -> None:
        self._store = store
        self._pending = pending

    async def get(self, id: str) -> E:
        record = await self._fetch_one(id)
        if record is None:
            raise NotFound
        if is_tombstone(record):
            raise Purged
        return self._entity(record)

    async def find(self, id: str) -> E | None:
        record = await self._fetch_one(id)
        return None if record is None or is_tombstone(record) else self._entity(record)

    async def get_many(self, ids: Iterable[str]) -> dict[str, E]:
        found: dict[str, E] = {}
        for id_, record in (await self._fetch(list(dict.fromkeys(ids)))).items():
            # A damaged one is noted, and left out.
            with suppress(CorruptRecord):
                if not is_tombstone(record):
                    found[id_] = self._entity(record)
        return found

    async def changed_since(self, instant: datetime, page: PageRequest) -> Page[E]:
        where = AllOf((Range(field="updatedAt", at_least=instant), IsNull(IS_ERASED)))
        items, positions, is_last = await self._listed(where, page)
        return Page(items=items, next=None if is_last else positions[-1], positions=positions)

    async def at_version(self, id: str, version: int) -> E:
        current = await self._fetch_one(id)
        if current is None:
            raise NotFound("There is no such version.")
        present = None if is_tombstone(current) else self._entity(current)
        if not 1 <= version <= (current[VERSION] if present is None else present.version):
            raise NotFound("There is no such version.")
        if present is None:
            raise Purged
        return present if version == present.version else self._entity(await self._undone(current, version))

    def save(self, entity: E, *, action: Action | None = None) -> None:
        self._pending.put(self.spec.collection, self.spec.mapping.to_record(entity), action)

    async def purged(self, ids: Iterable[str]) -> frozenset[str]:
        records = await self._fetch(list(dict.fromkeys(ids)))
        return frozenset(id_ for id_, record in records.items() if is_tombstone(record))

    async def trashed_before(self, instant: datetime, page: PageRequest) -> Page[E]:
        return await self._page([Range(field="deletedAt", below=instant)], page, deleted=True)

    def erase(self, entity: E, stamp: Stamp) -> None:
        self._pending.erase(self.spec.collection, entity.id, stamp.at)

    def require_unchanged(self, entity: E) -> None:
        self._pending.require_unchanged(self.spec.collection, entity.id, entity.version)

    async def _undone(self, current: Record, version: int) -> Record:
        """An earlier version: every later entry undone, newest first, with the stamps of the version's own entry."""
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
                Equals("collection", self.spec.collection),
                Equals("entityId", id_),
                Range(field=VERSION, at_least=lowest, below=below),
            )
        )
        order = Order(VERSION, descending=True)
        question = Question(collection=AUDIT_LOGS.collection, where=where, order=order, limit=self.undo_page)
        return await self._store.find(question)

    def _entity(self, record: Record) -> E:
        """The entity of a record. Notes and raises CorruptRecord where it does not fit."""
        try:
            return self.spec.entity(record)
        except CorruptRecord as error:
            note_damage(self._store, self.spec.collection, error)
            raise

    async def _fetch_one(self, id: str) -> Record | None:
        """The record; None if there is none. Raises CorruptRecord where it cannot be decoded."""
        found = (await self._fetch([id])).get(id)
        if (error := self._pending.damaged.get((self.spec.collection, id))) is not None:
            raise error
        return found

    async def _fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """The records of these ids without those that cannot be decoded."""
        collection, seen = self.spec.collection, self._pending.seen
        missing = self._pending.unknown(collection, ids)
        for start in range(0, len(missing), FETCH_MAX):
            await self._fetch_part(missing[start : start + FETCH_MAX])
        return {id_: seen[collection, id_] for id_ in ids if (collection, id_) in seen}

    async def _fetch_part(self, ids: list[str]) -> None:
        """Remembers the records of these ids, and which of them cannot be decoded, which it takes out of the list."""
        while True:
            try:
                found = await self._store.fetch(self.spec.collection, ids)
            except CorruptRecord as error:
                self._pending.leave_out(error, {self.spec.collection: ids})
                continue
            return self._pending.remember_answer(self.spec.collection, ids, found)

    async def _page(self, where: Sequence[Criterion], page: PageRequest, *, deleted: bool) -> Page[E]:
        items, positions, is_last = await self._listed(_scoped(where, deleted=deleted), page)
        total = await self._count(where, deleted=deleted) if page.with_total else None
        return Page(items=items, next=None if is_last else positions[-1], total=total, positions=positions)

    async def _listed(self, where: Criterion, page: PageRequest) -> tuple[list[E], list[Position], bool]:
        """The entities of a page, their positions, and whether nothing follows. What cannot be read is left out.

        Raises CorruptRecord where that has no known id, or where there are more than LEFT_OUT_MAX.
        """
        left_out: list[Criterion] = []
        while True:
            scope = AllOf((where, *left_out)) if left_out else where
            try:
                records, positions, is_last = await self._ordered(scope, page)
                return [self.spec.entity(record) for record in records], positions, is_last
            except CorruptRecord as error:
                question = page_question(self.spec.collection, scope, page)
                note_damage(self._store, self.spec.collection, error, question)
                if error.record_id is None or len(left_out) >= LEFT_OUT_MAX:
                    raise
                left_out.append(all_but(error.record_id))

    async def _count(self, where: Sequence[Criterion], *, deleted: bool) -> int:
        return await self._store.count(self.spec.collection, _scoped(where, deleted=deleted))

    async def _ordered(
        self, where: Criterion, page: PageRequest
    ) -> tuple[list[Record], list[Position], bool]:
        """The records of a page, their positions, and whether nothing follows."""
        by = self.sorted_by.get(page.sort.field, _ordering(page.sort))
        records = await self._found(where, page, by)
        positions = [Position(record.get(by), record[ID]) for record in records[: page.limit]]
        for record in records:
            # The group in a search belongs to the position and not to the record.
            record.pop(RELEVANCE, None)
        shown = [self._pending.remember(self.spec.collection, record) for record in records[: page.limit]]
        return shown, positions, len(records) <= page.limit

    async def _found(self, where: Criterion, page: PageRequest, by: str) -> list[Record]:
        """The records of a page and the first one after it. Records without a value come last, as readers expect, also
        in ascending order, in which stores would put them first: they are asked for after the others.
        """
        question = page_question(self.spec.collection, where, page, by=by)
        if page.sort.descending or not self._may_be_null(by, where):
            return await self._store.find(question)
        found: list[Record] = []
        after = question.after
        if after is None:
            present = Range(field=by, at_least=_LOWEST[self.spec.field(by).kind])
            found = await self._store.find(replace(question, where=AllOf((where, present))))
        elif after[0] is not None:
            # After a value there are no nulls. A second lower bound might be the one that an index starts from.
            found, after = await self._store.find(question), None
        if (left := question.limit - len(found)) > 0:
            absent = AllOf((where, IsNull(by)))
            found += await self._store.find(replace(question, where=absent, after=after, limit=left))
        return found

    def _may_be_null(self, by: str, where: Criterion) -> bool:
        if by in (ID, RELEVANCE) or not self.spec.field(by).nullable:
            return False
        return not any(isinstance(one, Range | NotNull) and one.field == by for one in conjuncts_of(where))

    async def _all(self, *where: Criterion) -> list[E]:
        found = await self._some(*where, limit=ALL_MAX + 1)
        if len(found) > ALL_MAX:
            raise Conflict(
                f"More than {ALL_MAX} {self.spec.collection} belong together; move some of them first."
            )
        return found

    async def _some(self, *where: Criterion, limit: int) -> list[E]:
        question = Question(collection=self.spec.collection, where=AllOf(where), limit=limit)
        records = await self._store.find(question)
        read, remember = self._entity, self._pending.remember
        return [read(remember(self.spec.collection, record)) for record in records]


def _scoped(where: Sequence[Criterion], *, deleted: bool) -> Criterion:
    """All of the criteria, in the trash or outside it."""
    scope = trash_scope() if deleted else (LIVE,)
    return AllOf((*scope, *where))


def trash_scope() -> tuple[Criterion, ...]:
    """Records in the trash that can still be restored."""
    return (Equals(IS_DELETED, value=True), IsNull(IS_ERASED))


def trashed_under(stamp: Stamp) -> tuple[Criterion, ...]:
    """Records that went to the trash under one stamp and can still be restored."""
    return (Equals("deletedAt", stamp.at), Equals("deletedBy", stamp.by), *trash_scope())


def page_question(collection: str, where: Criterion, page: PageRequest, *, by: str | None = None) -> Question:
    """The question for one page and the first record after it, which shows whether there is more. `by` replaces the
    name in the sort.
    """
    after = None if page.after is None else (page.after.value, page.after.id)
    order = Order(by or _ordering(page.sort), page.sort.descending)
    return Question(collection=collection, where=where, order=order, after=after, limit=page.limit + 1)


def _ordering(sort: Sort) -> str:
    return RELEVANCE if sort.field == BY_RELEVANCE.field else sort.field
