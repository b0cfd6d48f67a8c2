"""Applying change sets where this store is the target: idempotent, in any order, one transaction for many."""

from collections.abc import Sequence

from pymongo.asynchronous.client_session import AsyncClientSession

from adapters.mongo.classification import PartRejected, outcome_of
from adapters.mongo.client import SNAPSHOT
from adapters.mongo.conflicts import reason_of, record_fields, unfit
from adapters.mongo.document_writer import DocumentWriter
from adapters.mongo.errors import DuplicateKey, Refused, StaleVersion, ValidationFailed
from adapters.mongo.lane_documents import raise_seen
from adapters.mongo.mirroring import mirror_writes
from adapters.mongo.old_documents import rewrite_touched
from adapters.mongo.transactions import Transaction
from adapters.mongo.writes import AnyWrite, lane_advance
from adapters.records.change_set import ApplyOutcome, ChangeSet, Rejection, Superseded, superseded
from adapters.records.lane_slots import Slot
from adapters.records.lanes import Applied, LaneLost, seen_in
from domain.errors import AlreadyExists, RuleBroken

APPLY_BATCH_MAX = 200
"""Change sets that share a transaction as long as none fails."""
RACES_MAX = 4
"""How often a mirrored change set may conflict with others on the same record before it is rejected."""
APPLY_ATTEMPTS_MAX = 6
"""How often a mirrored transaction is tried while others hold its documents: about a tenth of a second."""


class TargetWrites:
    """The apply of a record store."""

    def __init__(self, writer: DocumentWriter) -> None:
        self._writer = writer

    async def apply(self, change_sets: Sequence[ChangeSet]) -> Applied:
        """See LanedStore.apply_by_lane."""
        outcomes: list[ApplyOutcome] = []
        async with self._writer.slots.held() as slot:
            if len(change_sets) == 1:
                outcomes = [await self._mirror_alone(change_sets[0], slot)]
            else:
                for start in range(0, len(change_sets), APPLY_BATCH_MAX):
                    part = change_sets[start : start + APPLY_BATCH_MAX]
                    outcomes += await self._mirror_together(part, slot)
            return Applied(outcomes, None if slot is None else slot.stamp)

    async def _mirror_together(self, part: Sequence[ChangeSet], slot: Slot | None) -> list[Superseded | None]:
        try:
            held = await self._mirror(part, slot)
        except Refused as error:
            await self._writer.connection.ping()
            raise PartRejected from error
        return [superseded(change_set, held) for change_set in part]

    async def _mirror_alone(self, change_set: ChangeSet, slot: Slot | None) -> ApplyOutcome:
        try:
            held = await self._mirror([change_set], slot)
        except (AlreadyExists, RuleBroken) as error:
            return Rejection(reason_of(error))
        except Refused as error:
            await self._writer.connection.ping()
            return outcome_of(error, change_set)
        return superseded(change_set, held)

    async def _mirror(
        self, change_sets: Sequence[ChangeSet], slot: Slot | None
    ) -> dict[tuple[str, str], int]:
        """Stores what is newer; returns the versions that were stored before, by (collection, id)."""
        old_first, seen, sessions = False, seen_in(change_sets), self._writer.connection.sessions
        async with self._writer.connection.call() as database:

            async def bring_in(session: AsyncClientSession) -> dict[tuple[str, str], int]:
                if old_first:
                    await rewrite_touched(database, change_sets, session)
                writes, held = await mirror_writes(
                    database, change_sets, session, with_object_ids=self._writer.reader.with_object_ids
                )
                await raise_seen(database, seen, session)
                # Also where nothing is new: the stamp says that what is there was there at this number.
                all_writes: list[AnyWrite] = [*writes, *lane_advance(slot)]
                if all_writes:
                    await self._writer.write(database, all_writes, session)
                return held

            for race in range(1, RACES_MAX + 1):
                transaction = Transaction(sessions, SNAPSHOT, attempts_max=APPLY_ATTEMPTS_MAX)
                try:
                    held = await transaction.run(bring_in)
                    if slot is not None:
                        slot.advance()
                    return held
                except (DuplicateKey, StaleVersion) as failure:
                    if slot is not None:
                        await self._require_certain(slot, transaction)
                    # Another mirror stored the same documents first: the next attempt reads them. Or they are old
                    # documents under ObjectIds, where no write looks for them.
                    old_first = True
                    if race == RACES_MAX:
                        fields = record_fields(failure) if isinstance(failure, DuplicateKey) else ()
                        raise AlreadyExists(fields=fields) from failure
                except ValidationFailed as failure:
                    raise unfit(failure) from failure
        raise PartRejected

    async def _require_certain(self, slot: Slot, transaction: Transaction) -> None:
        """Raises LaneLost if a rejected apply was perhaps stored, or its lane was taken away: applied again by another
        lane, it finds what is there.
        """
        if transaction.is_answer_lost:
            await self._writer.slots.is_stored(slot)
            raise LaneLost
        await self._writer.require_held(slot)
