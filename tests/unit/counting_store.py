"""A record store that counts how often it is asked."""

from collections.abc import Mapping, Sequence

from adapters.records.change_set import ChangeSet
from adapters.records.criteria import RELEVANCE, Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.relevance import found_by_relevance
from adapters.records.wrapped_store import WrappedStore


class CountingStore(WrappedStore):
    """A store that counts the calls of its port, and the statements that its reads are for a server.

    `calls` are the names of the methods that were called, in order: what has to wait for what. A commit that no audit
    entry tells of, of a control record, is called `reserve`. One call may be several statements: a `gather` is one for
    each of its collections, which the servers answer at the same time, and a search by relevance asks for one group
    after the other until it has enough. `statements` counts these.
    """

    def __init__(self, inner: RecordStore) -> None:
        super().__init__(inner)
        self.calls: list[str] = []
        self.statements = 0

    def clear(self) -> None:
        """Counts from nothing again."""
        self.calls.clear()
        self.statements = 0

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
        self.statements += 1
        return await super().fetch(collection, ids)

    async def gather(self, ids_by_collection: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        self.calls.append("gather")
        self.statements += len(ids_by_collection)
        return await super().gather(ids_by_collection)

    async def find(self, question: Question) -> list[Record]:
        self.calls.append("find")
        if question.order.field == RELEVANCE:
            return await found_by_relevance(self._asked_once, question)
        return await self._asked_once(question)

    async def count(self, collection: str, where: Criterion) -> int:
        self.calls.append("count")
        self.statements += 1
        return await super().count(collection, where)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        self.calls.append("scan")
        self.statements += 1
        return await super().scan(collection, after=after, limit=limit)

    async def commit(self, change_set: ChangeSet) -> None:
        self.calls.append("commit" if change_set.entries else "reserve")
        await super().commit(change_set)

    async def _asked_once(self, question: Question) -> list[Record]:
        self.statements += 1
        return await super().find(question)
