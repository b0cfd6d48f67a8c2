"""Collects the entities that a use case saves, and commits them as one change set with its audit entries."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from adapters.records.change_set import ChangeSet
from adapters.records.record import ID, VERSION, CorruptRecord, Record, instant_text
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import AUDIT_LOGS
from adapters.repositories.assignments import StoredAssignments, StoredWatches
from adapters.repositories.audit_entries import StoredAuditTrail
from adapters.repositories.generic import StoredRepository
from adapters.repositories.pending import Pending, PendingChange
from adapters.repositories.people import StoredApiTokens, StoredSessions, StoredUsers
from adapters.repositories.planning import StoredLabels, StoredProjects, StoredTasks, StoredTimelines
from adapters.repositories.teams import StoredMemberships, StoredRoles, StoredTeams
from application.access import require_present_grants
from application.actor import Actor
from application.ports.identifiers import Identifiers
from domain.audit import Action, AuditEntry, changes_between

R = TypeVar("R", bound=StoredRepository[Any])


class _Repository(Generic[R]):
    """An attribute of a unit of work: one of its repositories, made where it is used."""

    def __init__(self, kind: type[R]) -> None:
        self._kind = kind

    def __set_name__(self, owner: type["StoredUnitOfWork"], name: str) -> None:
        owner._collections[name] = self._kind.spec.collection

    def __get__(self, work: "StoredUnitOfWork", owner: type) -> R:
        return self._kind(work._store, work._pending)


class StoredUnitOfWork:
    """The port UnitOfWork over a record store."""

    _collections: ClassVar[dict[str, str]] = {}
    """The collection of each repository by its name; filled by the attributes below."""

    users = _Repository(StoredUsers)
    sessions = _Repository(StoredSessions)
    api_tokens = _Repository(StoredApiTokens)
    roles = _Repository(StoredRoles)
    teams = _Repository(StoredTeams)
    memberships = _Repository(StoredMemberships)
    projects = _Repository(StoredProjects)
    timelines = _Repository(StoredTimelines)
    tasks = _Repository(StoredTasks)
    assignments = _Repository(StoredAssignments)
    watches = _Repository(StoredWatches)
    labels = _Repository(StoredLabels)

    def __init__(self, store: RecordStore, identifiers: Identifiers, actor: Actor) -> None:
        self._store = store
        self._identifiers = identifiers
        self._actor = actor
        self._pending = Pending()

    @property
    def audit(self) -> StoredAuditTrail:
        return StoredAuditTrail(self._store)

    async def load(self, **ids_by_kind: Iterable[str]) -> None:
        unknown = {
            collection: ids
            for kind, requested in ids_by_kind.items()
            if (ids := self._pending.unknown(collection := self._collections[kind], requested))
        }
        while unknown:
            asked = {collection: ids[:FETCH_MAX] for collection, ids in unknown.items()}
            try:
                answers = await self._store.gather(asked)
            except CorruptRecord as error:
                self._pending.leave_out(error, unknown)
                continue
            for collection, found in answers.items():
                self._pending.remember_answer(collection, asked[collection], found)
            unknown = {collection: rest for collection, ids in unknown.items() if (rest := ids[FETCH_MAX:])}

    async def commit(self) -> None:
        changes = list(self._pending)
        if not changes:
            return
        await require_present_grants(self.users, self._actor)
        change_set_id = self._identifiers.fresh()
        entries = tuple(self._entry(change, change_set_id, index) for index, change in enumerate(changes))
        puts = tuple(change.put for change in changes)
        await self._store.commit(ChangeSet(puts, entries, self._pending.read_checks))
        self._pending.clear()

    def _entry(self, change: PendingChange, change_set_id: str, index: int) -> Record:
        record = change.put.record
        # The idempotency key belongs to the first entity saved: the subject of the request.
        claim = self._actor.claim if index == 0 else None
        entry = AuditEntry(
            id=change_set_id if index == 0 else self._identifiers.fresh(),
            collection=change.put.collection,
            entity_id=record[ID],
            version=record[VERSION],
            action=change.action,
            actor_id=self._actor.id,
            at=change.at,
            request_id=self._actor.request_id,
            change_set_id=change_set_id,
            changes=_json_changes(change),
            idempotency_key=claim.key if claim else None,
            request_hash=claim.request_hash if claim else None,
        )
        return AUDIT_LOGS.mapping.to_record(entry)


def _json_changes(change: PendingChange) -> dict[str, dict[str, object]]:
    """The changed fields, instants as text because entries hold JSON values. A permanent removal repeats no content."""
    if change.action is Action.PURGED:
        return {}
    changes = changes_between(change.before, change.put.record)
    for sides in changes.values():
        for side, value in sides.items():
            if isinstance(value, datetime):
                sides[side] = instant_text(value)
    return changes
