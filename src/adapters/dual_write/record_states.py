"""The state of one record in both stores: its waiting entries, or a difference that nobody repairs by itself."""

from collections.abc import Sequence

from adapters.dual_write.backlog import Backlog, unmirrored
from adapters.dual_write.differences import ahead
from adapters.dual_write.discarding import absence_of
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.records.criteria import Criterion, Order, Question
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS
from application.ports.synchronisation import RecordSync
from domain.audit import SyncStatus
from domain.errors import NotFound, StoreUnavailable

HISTORY_MAX = 1_000
"""The largest number of versions in a history; older ones are left out."""

_COLLECTIONS = frozenset(spec.collection for spec in ENTITY_SPECS)
_WORST_FIRST = (SyncStatus.PARKED, SyncStatus.FAILED, SyncStatus.PENDING)
_NEVER_MIRRORED = "It has no audit entry, so nothing delivers it by itself: its next change does."


class RecordStates:
    """Compares one record at a time. Without a target everything is in sync by definition."""

    def __init__(self, source: RecordStore, target: MirrorTarget | None, backlog: Backlog) -> None:
        self._source = source
        self._target = target
        self._backlog = backlog

    async def of(self, collection: str, id_: str) -> RecordSync:
        """The state of a record. Raises NotFound and, where the source does not answer, StoreUnavailable."""
        record = await self._record(collection, id_)
        entries = [] if self._target is None else await self.newest(unmirrored(collection, id_))
        target_version, unread = await self._version_in_target(collection, id_)
        error = unread
        status, attempts, next_attempt_at = SyncStatus.SYNCED, 0, None
        if entries:
            worst = min(entries, key=lambda entry: _WORST_FIRST.index(_status_of(entry)))
            status, error = _status_of(worst), worst["syncError"] or error
            attempts, next_attempt_at = worst["syncAttempts"], worst["syncNextAt"]
        elif self._target is not None and error is None and target_version != record[VERSION]:
            status, error = await self._difference(collection, record, held=target_version)
        return RecordSync(
            collection=collection,
            id=id_,
            status=status,
            source_version=record[VERSION],
            target_version=target_version,
            attempts=attempts,
            last_error=error,
            next_attempt_at=next_attempt_at,
            is_target_read=unread is None,
        )

    async def known_absence(self, collection: str, id_: str) -> str | None:
        """Why the record's present version is absent in the target, if an operator let it be. Raises as `of`."""
        version = (await self._record(collection, id_))[VERSION]
        for entry in await self._backlog.newest_of(collection, id_):
            if entry[VERSION] == version and (reason := absence_of(entry)) is not None:
                return f"A known difference: it is absent in the target ({reason}). Its next version is mirrored again."
        return None

    async def newest(self, where: Criterion) -> list[Record]:
        """The newest HISTORY_MAX entries that match, newest first."""
        order = Order(VERSION, descending=True)
        return await self._source.find(
            Question(collection=AUDIT_LOGS.collection, where=where, order=order, limit=HISTORY_MAX)
        )

    async def held_by_target(self, entries: Sequence[Record]) -> tuple[frozenset[str], str | None]:
        """The ids of the entries in the target, and why it could not be read."""
        if self._target is None:
            return frozenset(), None
        try:
            ids = [entry[ID] for entry in entries]
            return frozenset(await self._target.fetch(AUDIT_LOGS.collection, ids)), None
        except StoreUnavailable as error:
            return frozenset(), self._target.explained(error).message

    async def _record(self, collection: str, id_: str) -> Record:
        found = await self._source.fetch(collection, (id_,)) if collection in _COLLECTIONS else {}
        if id_ not in found:
            raise NotFound
        return found[id_]

    async def _difference(
        self, collection: str, record: Record, *, held: int | None
    ) -> tuple[SyncStatus, str]:
        """The state of a record without undelivered entries whose version differs, and why: nobody delivers it."""
        id_, version = record[ID], record[VERSION]
        if held is not None and held > version:
            return SyncStatus.FAILED, ahead(collection, held=held, own=version).reason
        if (absence := await self.known_absence(collection, id_)) is not None:
            return SyncStatus.PARKED, absence
        if not await self._backlog.newest_of(collection, id_):
            return SyncStatus.FAILED, _NEVER_MIRRORED
        found = "no longer holds it" if held is None else f"holds version {held}"
        return SyncStatus.FAILED, (
            f"Version {version} was delivered, and the target {found}: it was removed or changed there by hand. "
            f"To deliver it again, type: tandem sync retry {collection} {id_}"
        )

    async def _version_in_target(self, collection: str, id_: str) -> tuple[int | None, str | None]:
        """The version in the target, and why it is not known if the target could not be read."""
        if self._target is None:
            return None, None
        try:
            held = (await self._target.fetch(collection, (id_,))).get(id_)
        except StoreUnavailable as error:
            return None, self._target.explained(error).message
        return (held[VERSION] if held else None), None


def _status_of(entry: Record) -> SyncStatus:
    """The delivery state of an entry of a mirrored source: without a mark it is PENDING."""
    return SyncStatus(entry["syncStatus"] or SyncStatus.PENDING)
