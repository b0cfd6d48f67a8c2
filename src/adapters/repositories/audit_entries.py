"""The audit trail: its questions as criteria."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec

from adapters.records.criteria import AllOf, Criterion, Equals, OneOf, Question, Range
from adapters.records.damage import find_around_damage, note_damage
from adapters.records.record import ID, CorruptRecord, Record, is_tombstone
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, TIMELINES
from adapters.repositories.generic import page_question
from application.paging import Page, PageRequest, Position
from application.ports.repositories import AuditFilter
from domain.audit import AuditEntry

LARGE_ENTRIES_AT_ONCE = 5
"""Entries read at once where each may hold a whole plan twice, which can be megabytes."""
CHANGES_BYTES_MAX = 4 * 1024 * 1024
_LARGE = TIMELINES.collection


class StoredAuditTrail:
    """The port AuditTrail."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    async def matching(self, filters: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        where = AllOf(tuple(_criteria(filters)))
        question = page_question(AUDIT_LOGS.collection, where, page)
        at_once = LARGE_ENTRIES_AT_ONCE if _may_be_large(filters) else question.limit
        records, is_last = await self._read(question, at_once)
        read = [(record, entry) for record in records if (entry := self._readable(record)) is not None]
        positions = [Position(record[page.sort.field], record[ID]) for record, _ in read]
        total = await self._store.count(AUDIT_LOGS.collection, where) if page.with_total else None
        following = None
        if not is_last:
            following = (
                positions[-1] if positions else Position(records[-1].get(page.sort.field), records[-1][ID])
            )
        items = [entry for _, entry in read]
        return Page(items=items, next=following, total=total, positions=positions)

    def _readable(self, record: Record) -> AuditEntry | None:
        """The entry; None for a damaged one, which is noted."""
        try:
            return AUDIT_LOGS.mapping.from_record(record)
        except CorruptRecord as error:
            note_damage(self._store, AUDIT_LOGS.collection, error)
            return None

    async def _read(self, question: Question, at_once: int) -> tuple[list[Record], bool]:
        """The records of a question without its last, extra one, and whether no more follow.

        The page ends early once CHANGES_BYTES_MAX have been read.
        """
        records: list[Record] = []
        size = 0
        while size < CHANGES_BYTES_MAX and len(records) < question.limit:
            limit = min(at_once, question.limit - len(records))
            part = await find_around_damage(self._store, replace(question, limit=limit))
            records += part
            if len(part) < limit:
                return records, True
            size += _size(part)
            question = replace(question, after=(part[-1].get(question.order.field), part[-1][ID]))
        return records[:-1], False

    async def about_purged(self, entries: Iterable[AuditEntry]) -> frozenset[str]:
        subjects = [(entry.id, entry.collection, entry.entity_id) for entry in entries]
        ids: dict[str, list[str]] = {}
        for _, collection, entity_id in subjects:
            ids.setdefault(collection, []).append(entity_id)
        found = await self._store.gather(ids) if ids else {}
        return frozenset(
            entry_id
            for entry_id, collection, entity_id in subjects
            if is_tombstone(found[collection].get(entity_id, {}))
        )

    async def of_version(self, collection: str, entity_id: str, version: int) -> AuditEntry | None:
        criteria = (
            Equals("collection", collection),
            Equals("entityId", entity_id),
            Equals("version", version),
        )
        return await self._first(AllOf(criteria))

    async def with_key(self, idempotency_key: str) -> AuditEntry | None:
        return await self._first(Equals("idempotencyKey", idempotency_key))

    async def _first(self, where: Criterion) -> AuditEntry | None:
        records = await self._store.find(Question(collection=AUDIT_LOGS.collection, where=where, limit=1))
        return AUDIT_LOGS.mapping.from_record(records[0]) if records else None


def _may_be_large(filters: AuditFilter) -> bool:
    if filters.collection is None:
        return filters.collections is None or _LARGE in filters.collections
    return filters.collection == _LARGE


def _size(records: Sequence[Record]) -> int:
    return sum(len(msgspec.json.encode(record.get("changes"))) for record in records)


def _criteria(filters: AuditFilter) -> list[Criterion]:
    pinned = {
        "collection": filters.collection,
        "entityId": filters.entity_id,
        "actorId": filters.actor_id,
        "action": filters.action,
    }
    criteria: list[Criterion] = [Equals(name, value) for name, value in pinned.items() if value is not None]
    if filters.collections is not None:
        criteria.append(OneOf("collection", filters.collections))
    if filters.entity_ids is not None:
        criteria.append(OneOf("entityId", filters.entity_ids))
    if filters.since is not None or filters.until is not None:
        criteria.append(Range(field="at", at_least=filters.since, below=filters.until))
    return criteria
