"""The audit trail: questions about entries."""

from adapters.records.criteria import AllOf, Criterion, Equals, Question, Range
from adapters.records.record import ID
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS
from adapters.repositories.generic import page_question
from application.paging import Page, PageRequest, Position
from application.ports.repositories import AuditFilter
from domain.audit import AuditEntry


class StoredAuditTrail:
    """The port AuditTrail."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    async def matching(self, wanted: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        where = AllOf(tuple(_criteria(wanted)))
        records = await self._store.find(page_question(AUDIT_LOGS.collection, where, page))
        shown = records[: page.limit]
        last = shown[-1] if len(records) > page.limit else None
        position = None if last is None else Position(last[page.sort.field], last[ID])
        total = await self._store.count(AUDIT_LOGS.collection, where) if page.with_total else None
        items = [AUDIT_LOGS.mapping.from_record(record) for record in shown]
        return Page(items=items, next=position, total=total)

    async def of_version(self, collection: str, entity_id: str, version: int) -> AuditEntry | None:
        wanted = (Equals("collection", collection), Equals("entityId", entity_id), Equals("version", version))
        return await self._first(AllOf(wanted))

    async def with_key(self, idempotency_key: str) -> AuditEntry | None:
        return await self._first(Equals("idempotencyKey", idempotency_key))

    async def _first(self, where: Criterion) -> AuditEntry | None:
        records = await self._store.find(Question(collection=AUDIT_LOGS.collection, where=where, limit=1))
        return AUDIT_LOGS.mapping.from_record(records[0]) if records else None


def _criteria(wanted: AuditFilter) -> list[Criterion]:
    pinned = {
        "collection": wanted.collection,
        "entityId": wanted.entity_id,
        "actorId": wanted.actor_id,
        "action": wanted.action,
    }
    criteria: list[Criterion] = [Equals(name, value) for name, value in pinned.items() if value is not None]
    if wanted.since is not None or wanted.until is not None:
        criteria.append(Range(field="at", at_least=wanted.since, below=wanted.until))
    return criteria
