"""Repairs what a verification found, by versions alone: nothing newer is replaced, and no content is lost.

Each record is read again first, so a repair can be repeated after a crash, and stale evidence does no harm. A record
that the target lacks, or holds in an older version, is applied as it is. Everything else becomes a new version in the
source, above both, which travels as any other write does.

A record that only the target holds is removed if neither store knows anything of it, or if its history ends with its
removal. If the history of the source says that it is there, the source has lost it: then the target's copy comes back.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from adapters.migration.comparing import ReadableStore, compare_records
from adapters.records.change_set import (
    Blocked,
    ChangeSet,
    DeliveryMark,
    Put,
    Rejection,
)
from adapters.records.criteria import AllOf, Equals, Order, Question
from adapters.records.record import ID, VERSION, CorruptRecord, Record, is_tombstone, tombstone
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, SYNC_FIELDS
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.migration import Difference, DifferenceKind
from domain.audit import Action, AuditEntry, Changes, SyncStatus, changes_between
from domain.errors import AlreadyExists, MirrorPending, RuleBroken, VersionConflict

ATTEMPTS_MAX: Final = 4
"""How often a record is read again because somebody wrote it meanwhile."""
UNREPAIRED_MAX: Final = 1_000
_BY_APPLYING = frozenset({DifferenceKind.MISSING, DifferenceKind.BEHIND})


@dataclass(frozen=True, slots=True)
class Unrepaired:
    """A difference that is left, and why. The reason names no values."""

    difference: Difference
    reason: str


@dataclass(slots=True)
class Repaired:
    """What a repair did. `equal`: the stores agreed by the time of the repair."""

    applied: int = 0
    rewritten: int = 0
    equal: int = 0
    unrepaired: list[Unrepaired] = field(default_factory=list)


class Repair:
    """Repairs records of one pair of stores.

    `source` and `target` are compared by the raw path, `writer` takes new versions as the service's own writes do (so
    that they are mirrored), and `applier` is the target as the mirror uses it.
    """

    def __init__(
        self,
        source: ReadableStore,
        target: ReadableStore,
        *,
        writer: RecordStore,
        applier: RecordStore,
        clock: Clock,
        identifiers: Identifiers,
    ) -> None:
        self._source, self._target = source, target
        self._writer, self._applier = writer, applier
        self._clock, self._identifiers = clock, identifiers

    async def repair(self, differences: Sequence[Difference], *, by: str) -> Repaired:
        """Repairs each of the records on its own, entries last. `by` is the operator's id, for the audit trail.

        Raises StoreUnavailable where a store does not answer; what was done until then stays, and it can be repeated.
        """
        done = Repaired()
        for difference in sorted(differences, key=_turn):
            await self._repair_one(difference, by, done)
        return done

    async def _repair_one(self, difference: Difference, by: str, done: Repaired) -> None:
        collection, record_id = difference.collection, difference.id
        for _ in range(ATTEMPTS_MAX):
            found = await compare_records(self._source, self._target, collection, [record_id])
            if not found:
                done.equal += 1
                return
            (present,) = found
            try:
                await self._repair_present(present, by, done)
            except VersionConflict:
                continue  # somebody wrote it in between
            return
        _leave(done, difference, "It is being changed all the time. Repeat the repair.")

    async def _repair_present(self, present: Difference, by: str, done: Repaired) -> None:
        if present.collection == AUDIT_LOGS.collection:
            await self._repair_entry(present, done)
        elif present.kind in _BY_APPLYING and present.source_version is not None:
            await self._apply(present, done)
        elif present.kind is DifferenceKind.EXTRA:
            await self._repair_extra(present, by, done)
        else:
            await self._rewrite(present, by, done)

    async def _apply(self, present: Difference, done: Repaired) -> None:
        record = await self._fetched(present)
        if record is None:
            _leave(done, present, _UNDECODABLE)
            return
        put = Put(present.collection, record, record[VERSION] - 1)
        await self._applied(present, ChangeSet((put,)), done)

    async def _applied(self, present: Difference, change_set: ChangeSet, done: Repaired) -> bool:
        """Whether the target took it. Its outcome alone proves nothing: a trigger may have dropped it."""
        (outcome,) = await self._applier.apply([change_set])
        if isinstance(outcome, Rejection | Blocked):
            _leave(done, present, _reason_of(outcome))
            return False
        left = await compare_records(self._source, self._target, present.collection, [present.id])
        if present in left:
            _leave(done, present, "The target reports it as stored, and still holds what it held before.")
            return False
        if left:
            raise VersionConflict
        done.applied += 1
        return True

    async def _rewrite(self, present: Difference, by: str, done: Repaired) -> None:
        """A new version above both, with the source's content."""
        record = await self._fetched(present)
        if record is None:
            _leave(done, present, _UNDECODABLE)
            return
        expected = present.source_version or 0
        version = max(expected, present.target_version or 0) + 1
        await self._committed(
            present, Put(present.collection, self._above(record, version, by), expected), by, done
        )

    async def _repair_extra(self, present: Difference, by: str, done: Repaired) -> None:
        held = await _decoded(self._target, present)
        if held is None:
            _leave(done, present, _UNDECODABLE_THERE)
            return
        newest = await _newest_entry(self._source, present)
        known = 0 if newest is None else int(newest[VERSION])
        if newest is None and await _newest_entry(self._target, present) is not None:
            _leave(done, present, _ENTRY_REASONS[DifferenceKind.EXTRA])
            return
        is_gone = newest is None or is_tombstone(held) or _is_removal(newest)
        if not is_gone and held[VERSION] < known:
            _leave(done, present, _LOST.format(version=known, held=held[VERSION]))
            return
        version = max(known, held[VERSION]) + 1
        record = tombstone(present.id, version) if is_gone else self._above(held, version, by)
        # Nothing else would keep what is removed here.
        changes = _removal(held) if newest is None and not is_tombstone(held) else {}
        await self._committed(present, Put(present.collection, record, 0), by, done, changes=changes)

    async def _committed(
        self, present: Difference, put: Put, by: str, done: Repaired, *, changes: Changes | None = None
    ) -> None:
        entry = self._entry(present, put.record[VERSION], by, changes or {})
        try:
            with suppress(MirrorPending):  # it is durable in the source
                await self._writer.commit(ChangeSet((put,), (entry,)))
        except (AlreadyExists, RuleBroken) as error:
            _leave(done, present, f"The source does not take the new version: {error.message}")
            return
        done.rewritten += 1

    def _above(self, record: Record, version: int, by: str) -> Record:
        if is_tombstone(record):
            return tombstone(record[ID], version)
        return {**record, VERSION: version, "updatedAt": self._clock.now(), "updatedBy": by}

    def _entry(self, present: Difference, version: int, by: str, changes: Changes) -> Record:
        entry_id = self._identifiers.fresh()
        entry = AuditEntry(
            id=entry_id,
            collection=present.collection,
            entity_id=present.id,
            version=version,
            action=Action.REPAIRED,
            actor_id=by,
            at=self._clock.now(),
            request_id=entry_id,
            change_set_id=entry_id,
            changes=changes,
            sync_status=SyncStatus.PENDING,
        )
        return AUDIT_LOGS.mapping.to_record(entry)

    async def _repair_entry(self, present: Difference, done: Repaired) -> None:
        """Applies a missing entry. Stored entries never change, so nothing else can be done by itself."""
        if present.kind is not DifferenceKind.MISSING:
            _leave(done, present, _ENTRY_REASONS.get(present.kind, _ENTRY_CHANGED))
            return
        entry = await self._fetched(present)
        if entry is None:
            _leave(done, present, _UNDECODABLE)
            return
        now = self._clock.now()
        arriving = {**entry, **dict.fromkeys(SYNC_FIELDS)}
        arriving |= {"syncStatus": SyncStatus.SYNCED.value, "syncAttempts": 0, "syncedAt": now}
        if await self._applied(present, ChangeSet((), (arriving,)), done):
            # The relay delivers it once more, which changes nothing, and marks it with the lane that holds it now.
            again = DeliveryMark(entry_id=entry[ID], status=SyncStatus.PENDING, at=now, reopens=True)
            await self._source.mark([again])

    async def _fetched(self, present: Difference) -> Record | None:
        """The source's record; None where it cannot be decoded."""
        return None if present.source_version is None else await _decoded(self._source, present)


async def _decoded(store: RecordStore, present: Difference) -> Record | None:
    """The record as a store holds it; None where it cannot be decoded."""
    try:
        found = await store.fetch(present.collection, [present.id])
    except CorruptRecord:
        return None
    return found.get(present.id)


async def _newest_entry(store: RecordStore, present: Difference) -> Record | None:
    """The newest entry about a record in a store."""
    about = AllOf((Equals("collection", present.collection), Equals("entityId", present.id)))
    order = Order(VERSION, descending=True)
    found = await store.find(Question(collection=AUDIT_LOGS.collection, where=about, order=order, limit=1))
    return found[0] if found else None


def _is_removal(entry: Record) -> bool:
    """Whether a record is gone after this entry: it was purged, or a repair has removed it."""
    is_emptied = bool(entry["changes"]) and all(sides["after"] is None for sides in entry["changes"].values())
    return entry["action"] == Action.PURGED or (entry["action"] == Action.REPAIRED and is_emptied)


_LOST = (
    "The source has lost it: its history goes up to version {version}, and the target only holds version {held}."
    " Restore the source's record from a copy."
)
_UNDECODABLE = "The source cannot decode it. Restore it there from a copy."
_UNDECODABLE_THERE = (
    "Only the target holds it, and cannot decode it. Remove it there, or restore it in the source."
)
_ENTRY_CHANGED = (
    "The target's copy of this audit entry was changed, and entries are never replaced. Remove the row there, then"
    " repair again: the entry is delivered anew."
)
_ENTRY_REASONS = {
    DifferenceKind.EXTRA: (
        "The target holds an audit entry that the source does not have. If the source was restored from an older copy,"
        " type: tandem recover"
    ),
    DifferenceKind.UNREADABLE: "One of the stores cannot decode this audit entry.",
}


def _turn(difference: Difference) -> int:
    """First what may give up a unique value that another record needs; entries last, since records may bring them."""
    if difference.collection == AUDIT_LOGS.collection:
        return 2
    return int(difference.kind in _BY_APPLYING)


def _removal(held: Record) -> Changes:
    """The change that removes everything that a record holds."""
    return {
        name: {"before": sides["after"], "after": None} for name, sides in changes_between(None, held).items()
    }


def _reason_of(outcome: Rejection | Blocked) -> str:
    if isinstance(outcome, Blocked):
        return f"The target accepts nothing for {outcome.place} at present: {outcome.cause}"
    return f"The target rejects it: {outcome.reason}"


def _leave(done: Repaired, difference: Difference, reason: str) -> None:
    if len(done.unrepaired) < UNREPAIRED_MAX:
        done.unrepaired.append(Unrepaired(difference, reason))
