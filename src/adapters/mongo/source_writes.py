"""Committing change sets where this store owns the writes."""

from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.client import MAJORITY, UNREAD
from adapters.mongo.conflicts import is_stored, may_be_old, rejection_of
from adapters.mongo.document_writer import DocumentWriter
from adapters.mongo.documents import Document
from adapters.mongo.errors import DuplicateKey, StaleVersion, ValidationFailed
from adapters.mongo.key_locks import KeyLocks
from adapters.mongo.old_documents import rewrite_touched
from adapters.mongo.transactions import Transaction
from adapters.mongo.writes import AnyWrite, commit_writes, lane_advance
from adapters.records.change_set import ChangeSet, LaneStamp, stamped
from adapters.records.lane_slots import Slot
from adapters.records.lanes import LaneLost
from domain.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class _Commit:
    """What one commit writes, and where."""

    database: AsyncDatabase[Document]
    writes: Sequence[AnyWrite]
    slot: Slot | None


class SourceWrites:
    """The commit of a record store."""

    def __init__(self, writer: DocumentWriter) -> None:
        self._writer = writer
        self._locks = KeyLocks()

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        """See RecordStore.commit."""
        seconds = self._writer.connection.seconds_for(len(change_set.puts) + len(change_set.entries))
        # Waiting for the locks does not count against the server's time limit.
        async with (
            self._locks.holding(change_set.read_checks, wait_seconds=seconds),
            self._writer.slots.held() as slot,
        ):
            stamp = None if slot is None else slot.next
            writes: list[AnyWrite] = [*commit_writes(stamped(change_set, stamp)), *lane_advance(slot)]
            if writes:
                await self._commit(change_set, writes, slot, seconds)
            return stamp

    async def _commit(
        self, change_set: ChangeSet, writes: Sequence[AnyWrite], slot: Slot | None, seconds: float
    ) -> None:
        transaction: Transaction | None = None
        try:
            async with self._writer.connection.call(seconds=seconds) as database:
                transaction = Transaction(self._writer.connection.sessions, UNREAD)
                await self._committed(transaction, change_set, _Commit(database, writes, slot))
        except LaneLost:
            raise
        except StoreUnavailable:
            is_open = transaction is not None and transaction.is_answer_lost and slot is not None
            if not is_open or slot is None or not await self._writer.slots.is_stored(slot):
                raise

    async def _committed(self, transaction: Transaction, change_set: ChangeSet, commit: _Commit) -> None:
        database, writes, slot = commit.database, commit.writes, commit.slot
        try:
            await transaction.run(lambda session: self._writer.write(database, writes, session))
        except (DuplicateKey, StaleVersion, ValidationFailed) as failure:
            if await self._is_stored(transaction, commit):
                return
            with_object_ids = self._writer.reader.with_object_ids
            rejection = await rejection_of(database, change_set, failure, with_object_ids=with_object_ids)
            if not may_be_old(rejection) or not await self._stored_after_rewrite(
                transaction, change_set, commit
            ):
                raise rejection from failure
        if slot is not None:
            slot.advance()

    async def _is_stored(self, transaction: Transaction, commit: _Commit) -> bool:
        """Whether a rejected commit was stored before, its reply being lost. Raises LaneLost if its lane is closed.

        After a lost reply the lane is closed before it is read, since the commit could still arrive.
        """
        slot = commit.slot
        if slot is None:
            return transaction.is_answer_lost and await is_stored(commit.database, commit.writes)
        if transaction.is_answer_lost:
            return await self._writer.slots.is_stored(slot)
        await self._writer.require_held(slot)
        return False

    async def _stored_after_rewrite(
        self, transaction: Transaction, change_set: ChangeSet, commit: _Commit
    ) -> bool:
        """Whether the change set could be stored after rewriting the documents it touches, in one transaction."""
        database = commit.database
        if commit.slot is not None and not commit.slot.is_usable:
            # The reply to the first attempt was lost, and nothing was written.
            raise LaneLost

        async def write_after(session: AsyncClientSession) -> None:
            # Somebody else may have rewritten them since.
            await rewrite_touched(database, [change_set], session)
            await self._writer.write(database, commit.writes, session)

        again = Transaction(self._writer.connection.sessions, MAJORITY)
        try:
            await again.run(write_after)
        except (DuplicateKey, StaleVersion, ValidationFailed):
            return await self._is_stored(again, commit)
        finally:
            transaction.is_answer_lost |= again.is_answer_lost
        return True
