"""A record store around another one, for decorators that change little of it."""

from collections.abc import Mapping, Sequence

from adapters.records.change_set import ChangeSet, Refusal, Settlement
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore


class WrappedStore:
    """The port RecordStore, every request handed on. Decorators override what they change."""

    def __init__(self, inner: RecordStore) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def prepare(self) -> None:
        await self._inner.prepare()

    async def ping(self) -> None:
        await self._inner.ping()

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        return await self._inner.fetch(collection, ids)

    async def gather(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        return await self._inner.gather(wanted)

    async def find(self, question: Question) -> list[Record]:
        return await self._inner.find(question)

    async def count(self, collection: str, where: Criterion) -> int:
        return await self._inner.count(collection, where)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return await self._inner.scan(collection, after=after, limit=limit)

    async def commit(self, change_set: ChangeSet) -> None:
        await self._inner.commit(change_set)

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Refusal | None]:
        return await self._inner.apply(change_sets)

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        await self._inner.settle(settlements)
