"""What commits and applies have in common: the connection, the lanes, and how documents are written."""

from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.client import MongoConnection
from adapters.mongo.document_reader import DocumentReader
from adapters.mongo.documents import Document
from adapters.mongo.lane_documents import MongoLanes
from adapters.mongo.old_documents import require_new
from adapters.mongo.writes import AnyWrite, write_all
from adapters.records.lane_slots import LaneSlots, Slot
from adapters.records.lanes import LaneLost


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentWriter:
    """Writes documents in the transactions of others."""

    connection: MongoConnection
    reader: DocumentReader
    lanes: MongoLanes
    slots: LaneSlots

    async def write(
        self, database: AsyncDatabase[Document], writes: Sequence[AnyWrite], session: AsyncClientSession
    ) -> None:
        """Sends the writes. Raises DuplicateKey, StaleVersion, ValidationFailed, or pymongo's errors."""
        with_object_ids = self.reader.with_object_ids
        if with_object_ids:
            await require_new(database, writes, session, with_object_ids=with_object_ids)
        await write_all(database, writes, session, has_bulk_write=self.connection.has_bulk_write)

    async def require_held(self, slot: Slot) -> None:
        """Raises LaneLost unless the lane is open at the slot's number."""
        if await self.lanes.number_of(slot.lane) != slot.number:
            raise LaneLost
