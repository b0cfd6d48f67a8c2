"""A record store that counts how often it is asked."""

from collections.abc import Mapping, Sequence

from adapters.records.change_set import ChangeSet
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.wrapped_store import WrappedStore


class CountingStore(WrappedStore):
    """A store whose `calls` are the names of the methods that were called, in order, each a round trip.

    A commit that no audit entry tells of, of a control record, is called `reserve`.
    """

    def __init__(self, inner: RecordStore) -> None:
        super().__init__(inner)
        self.calls: list[str] = []

    @property
    def reads(self) -> int:
        """How many calls changed nothing."""
        return len(self.calls) - self.commits - self.reservations

    @property
    def commits(self) -> int:
        """How many change sets were committed."""
        return self.calls.count("commit")

    @property
    def reservations(self) -> int:
        """How often a control record was committed."""
        return self.calls.count("reserve")

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        self.calls.append("fetch")
        return await super().fetch(collection, ids)

    async def gather(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        self.calls.append("gather")
        return await super().gather(wanted)

    async def find(self, question: Question) -> list[Record]:
        self.calls.append("find")
        return await super().find(question)

    async def count(self, collection: str, where: Criterion) -> int:
        self.calls.append("count")
        return await super().count(collection, where)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        self.calls.append("scan")
        return await super().scan(collection, after=after, limit=limit)

    async def commit(self, change_set: ChangeSet) -> None:
        self.calls.append("commit" if change_set.entries else "reserve")
        await super().commit(change_set)
