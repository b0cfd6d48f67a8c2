"""Collects what a use case saves and commits it as one change set with its audit entries."""

from datetime import datetime

from adapters.records.change_set import ChangeSet
from adapters.records.record import ID, VERSION, Record, instant_text
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, LABELS, PROJECTS, TASKS, TIMELINES, USERS
from adapters.repositories.audit_entries import StoredAuditTrail
from adapters.repositories.pending import Pending, PendingChange
from adapters.repositories.people import StoredUsers
from adapters.repositories.planning import StoredLabels, StoredProjects, StoredTasks, StoredTimelines
from application.actor import Actor
from application.ports.identifiers import Identifiers
from domain.audit import AuditEntry, changes_between


class StoredUnitOfWork:
    """The port UnitOfWork over a record store. Repositories are made when first asked for."""

    def __init__(self, store: RecordStore, identifiers: Identifiers, actor: Actor) -> None:
        self._store = store
        self._identifiers = identifiers
        self._actor = actor
        self._pending = Pending()

    @property
    def users(self) -> StoredUsers:
        return StoredUsers(USERS, self._store, self._pending)

    @property
    def projects(self) -> StoredProjects:
        return StoredProjects(PROJECTS, self._store, self._pending)

    @property
    def timelines(self) -> StoredTimelines:
        return StoredTimelines(TIMELINES, self._store, self._pending)

    @property
    def tasks(self) -> StoredTasks:
        return StoredTasks(TASKS, self._store, self._pending)

    @property
    def labels(self) -> StoredLabels:
        return StoredLabels(LABELS, self._store, self._pending)

    @property
    def audit(self) -> StoredAuditTrail:
        return StoredAuditTrail(self._store)

    async def commit(self) -> None:
        changes = list(self._pending)
        if not changes:
            return
        change_set_id = self._identifiers.fresh()
        entries = tuple(self._entry(change, change_set_id, index) for index, change in enumerate(changes))
        puts = tuple(change.put for change in changes)
        await self._store.commit(ChangeSet(puts, entries, self._pending.guards))
        self._pending.clear()

    def _entry(self, change: PendingChange, change_set_id: str, index: int) -> Record:
        record = change.put.record
        # The claim belongs to the first thing saved, which is what the request was about.
        claim = self._actor.claim if index == 0 else None
        entry = AuditEntry(
            id=change_set_id if index == 0 else self._identifiers.fresh(),
            collection=change.put.collection,
            entity_id=record[ID],
            version=record[VERSION],
            action=change.action,
            actor_id=self._actor.id,
            at=record["updatedAt"],
            request_id=self._actor.request_id,
            change_set_id=change_set_id,
            changes=_json_changes(change),
            idempotency_key=claim.key if claim else None,
            request_hash=claim.request_hash if claim else None,
        )
        return AUDIT_LOGS.mapping.to_record(entry)


def _json_changes(change: PendingChange) -> dict[str, dict[str, object]]:
    """What changed, instants as text: entries hold JSON values."""
    changes = changes_between(change.before, change.put.record)
    for sides in changes.values():
        for side, value in sides.items():
            if isinstance(value, datetime):
                sides[side] = instant_text(value)
    return changes
