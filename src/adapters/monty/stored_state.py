"""The present state of all collections: documents and indexes, changed together."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.monty.collection_indexes import Claim, CollectionIndexes, Move, indexed_fields
from adapters.monty.document import decoded, key_of
from adapters.monty.document_keepers import DocumentKeeper, StoredDocument
from adapters.monty.errors import DRIVER_ERRORS, unavailable
from adapters.monty.late_index import LateIndexes
from adapters.monty.old_documents import OldDocuments
from adapters.monty.recent_records import RecentRecords
from adapters.records.record import ID, Record
from adapters.records.specs import RecordSpec

LOAD_PAUSE_RECORDS = 1_000
"""After how many records reading a collection in lets others run."""


@dataclass(frozen=True, slots=True)
class Write:
    """A record's next state: as a record for the indexes, as a document for the keeper, and what it replaces."""

    collection: str
    record: Record
    data: bytes
    before: Record | None

    @property
    def document(self) -> StoredDocument:
        """What the keeper and the journal get."""
        return StoredDocument(self.collection, key_of(self.record[ID]), self.data)


class StoredState:
    """Documents and their indexes. Everything happens on the event loop's thread, without a pause inside a change."""

    def __init__(self, keeper: DocumentKeeper, specs: Mapping[str, RecordSpec[Any]]) -> None:
        self._keeper = keeper
        self._specs = specs
        self._indexes: dict[str, CollectionIndexes] = {}
        self._late = {name: LateIndexes(spec, _Collection(self, name)) for name, spec in specs.items()}
        self._changes: Counter[str] = Counter()
        self._recent = RecentRecords()
        self._owed: list[Write] = []

    async def load(self) -> None:
        """Builds the indexes from the documents, and stores old documents in today's form while it is at it."""
        for name, spec in self._specs.items():
            records: list[Record] = []
            kept = indexed_fields(spec)
            old = OldDocuments(self._keeper, spec)
            for data in self._keeper.documents(name, None):
                record = old.read(data)
                if record is not None:
                    records.append({field: record[field] for field in kept if field in record})
                if len(records) % LOAD_PAUSE_RECORDS == 0:
                    await asyncio.sleep(0)
            old.store()
            self._indexes[name] = CollectionIndexes(spec, records)

    def indexes(self, collection: str) -> CollectionIndexes:
        """The indexes of a collection. Raises StoreUnavailable while durable changes wait to be written."""
        self.require_whole()
        return self._indexes[collection]

    def late(self, collection: str) -> LateIndexes:
        """The indexes that are made when they are needed. Raises StoreUnavailable likewise."""
        self.require_whole()
        return self._late[collection]

    def changes(self, collection: str) -> int:
        """A number that grows with every change of the collection."""
        return self._changes[collection]

    def current(self, collection: str, record_id: str) -> Record | None:
        """The stored state of one record."""
        record = self._recent.get(collection, record_id)
        if record is not None:
            return record
        for data in self._keeper.documents(collection, (key_of(record_id),)):
            self._recent.keep(collection, record_id, data)
            return decoded(data)
        return None

    def records(self, collection: str, ids: Iterable[str]) -> list[Record]:
        """The stored records with these ids, in their order, read past MontyDB: its matcher has nothing to check.

        Raises the keeper's errors as they are.
        """
        found = (self.current(collection, record_id) for record_id in ids)
        return [record for record in found if record is not None]

    def walked(self, collection: str, ids: Iterable[str]) -> list[Record]:
        """What `records` answers to somebody who goes through all of them, and has no use for one twice."""
        return [decoded(data) for data in self._keeper.documents(collection, map(key_of, ids))]

    def moves(self, write: Write) -> list[Move]:
        """What a write gains and gives up of the values that records hold alone."""
        return self._indexes[write.collection].moves(write.before, write.record)

    def holder(self, claim: Claim) -> str | None:
        """Which record holds these values, if any does."""
        return self._indexes[claim.collection].holder(claim)

    def store(self, writes: Sequence[Write]) -> None:
        """Puts durable changes where they belong.

        Raises StoreUnavailable where the keeper fails; they are owed from then on, and nobody is shown half of them.
        """
        for write in writes:
            self._recent.forget(write.collection, write.record[ID])
        self._owed.extend(writes)
        self.require_whole()

    def require_whole(self) -> None:
        """Writes what is owed. Raises StoreUnavailable where that still fails."""
        if not self._owed:
            return
        try:
            self._keeper.write([write.document for write in self._owed])
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error
        self._note(self._owed)
        self._owed = []

    @property
    def is_whole(self) -> bool:
        """Whether nothing is owed."""
        return not self._owed

    def _note(self, writes: Iterable[Write]) -> None:
        for write in writes:
            self._indexes[write.collection].replace(write.before, write.record)
            self._late[write.collection].note(write.before, write.record)
            self._recent.keep(write.collection, write.record[ID], write.data)
            self._changes[write.collection] += 1


@dataclass(frozen=True, slots=True)
class _Collection:
    """One collection of the state."""

    state: StoredState
    name: str

    def ids_after(self, last_id: str | None) -> Iterator[str]:
        return self.state.indexes(self.name).ids_after(last_id)

    def records(self, ids: Sequence[str]) -> list[Record]:
        return self.state.walked(self.name, ids)
