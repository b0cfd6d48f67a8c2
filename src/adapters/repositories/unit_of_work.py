"""Collects what a use case saves and commits it as one change set with its audit entries."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from adapters.records.change_set import ChangeSet
from adapters.records.record import ID, VERSION, Record, instant_text
from adapters.records.record_store import FETCH_MAX, RecordStore
from adapters.records.specs import (
    AUDIT_LOGS,
    LABELS,
    PROJECTS,
    ROLES,
    SESSIONS,
    TASK_ASSIGNMENTS,
    TASKS,
    TEAM_MEMBERS,
    TEAMS,
    TIMELINES,
    USERS,
    WATCHLISTS,
)
from adapters.repositories.assignments import StoredAssignments, StoredWatches
from adapters.repositories.audit_entries import StoredAuditTrail
from adapters.repositories.pending import Pending, PendingChange
from adapters.repositories.people import StoredSessions, StoredUsers
from adapters.repositories.planning import StoredLabels, StoredProjects, StoredTasks, StoredTimelines
from adapters.repositories.teams import StoredMemberships, StoredRoles, StoredTeams
from application.actor import Actor
from application.ports.identifiers import Identifiers
from domain.audit import Action, AuditEntry, changes_between


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
    def sessions(self) -> StoredSessions:
        return StoredSessions(SESSIONS, self._store, self._pending)

    @property
    def roles(self) -> StoredRoles:
        return StoredRoles(ROLES, self._store, self._pending)

    @property
    def teams(self) -> StoredTeams:
        return StoredTeams(TEAMS, self._store, self._pending)

    @property
    def memberships(self) -> StoredMemberships:
        return StoredMemberships(TEAM_MEMBERS, self._store, self._pending)

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
    def assignments(self) -> StoredAssignments:
        return StoredAssignments(TASK_ASSIGNMENTS, self._store, self._pending)

    @property
    def watches(self) -> StoredWatches:
        return StoredWatches(WATCHLISTS, self._store, self._pending)

    @property
    def labels(self) -> StoredLabels:
        return StoredLabels(LABELS, self._store, self._pending)

    @property
    def audit(self) -> StoredAuditTrail:
        return StoredAuditTrail(self._store)

    async def load(self, **ids_by_kind: Iterable[str]) -> None:
        wanted = {_COLLECTIONS[kind]: list(ids) for kind, ids in ids_by_kind.items()}
        while asked := self._still_unknown(wanted):
            for collection, found in (await self._store.gather(asked)).items():
                self._pending.remember_answer(collection, asked[collection], found)

    def _still_unknown(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """What one call may ask for at most of what nobody asked for yet."""
        return {
            collection: unknown[:FETCH_MAX]
            for collection, ids in wanted.items()
            if (unknown := self._pending.unknown(collection, ids))
        }

    async def commit(self) -> None:
        changes = list(self._pending)
        if not changes:
            return
        change_set_id = self._identifiers.fresh()
        entries = tuple(self._entry(change, change_set_id, index) for index, change in enumerate(changes))
        puts = tuple(change.put for change in changes)
        await self._store.commit(ChangeSet(puts, entries, self._pending.read_checks))
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
            at=change.at,
            request_id=self._actor.request_id,
            change_set_id=change_set_id,
            changes=_json_changes(change),
            idempotency_key=claim.key if claim else None,
            request_hash=claim.request_hash if claim else None,
        )
        return AUDIT_LOGS.mapping.to_record(entry)


_COLLECTIONS = {
    "users": USERS.collection,
    "roles": ROLES.collection,
    "teams": TEAMS.collection,
    "memberships": TEAM_MEMBERS.collection,
    "projects": PROJECTS.collection,
    "timelines": TIMELINES.collection,
    "tasks": TASKS.collection,
    "watches": WATCHLISTS.collection,
    "labels": LABELS.collection,
}
"""The collection of each kind that `load` takes by name."""


def _json_changes(change: PendingChange) -> dict[str, dict[str, object]]:
    """What changed, instants as text: entries hold JSON values. A removal for good repeats nothing of it."""
    if change.action is Action.PURGED:
        return {}
    changes = changes_between(change.before, change.put.record)
    for sides in changes.values():
        for side, value in sides.items():
            if isinstance(value, datetime):
                sides[side] = instant_text(value)
    return changes
