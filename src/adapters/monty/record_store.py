"""The record store over MontyDB."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from adapters.monty.backends import Backend, DirectoryBackend, MemoryBackend
from adapters.monty.change_work import Work, apply_work, commit_work, settle_work
from adapters.monty.document_reader import DocumentReader
from adapters.monty.errors import DRIVER_ERRORS, refused, unavailable
from adapters.monty.group_commit import Commits
from adapters.monty.keyed_storage import open_client
from adapters.monty.stored_state import StoredState
from adapters.records.change_set import ChangeSet, Refusal, Settlement
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import REASON_LENGTH_MAX
from adapters.records.specs import CONTROL, SPECS
from application.ports.health import StoreFacts
from domain.errors import StoreUnavailable, TandemError


class MontyRecordStore:
    """The port RecordStore over MontyDB: in memory where no directory is given, otherwise in sqlite files there.

    Old documents get today's form when it opens. For one process: a directory that another one has open is refused.
    Reads and changes run on the event loop, which is what makes them safe; only the journal's wait for the disk runs
    in a thread.
    """

    name = "monty"

    def __init__(self, directory: Path | None, *, database: str = "tandem") -> None:
        self._database = database
        self._backend: Backend = (
            MemoryBackend(database) if directory is None else DirectoryBackend(directory, database)
        )
        self._commits: Commits | None = None
        self._reader: DocumentReader | None = None
        self._state: StoredState | None = None

    async def open(self) -> None:
        if self._commits is not None:
            return
        self._backend.open()
        try:
            client = open_client(self._backend.keeper, self._backend.directory)
            state = StoredState(self._backend.keeper, SPECS)
            await state.load()
        except BaseException as error:
            await self._backend.close()
            if isinstance(error, DRIVER_ERRORS):
                raise refused(error, self._backend.directory) from error
            raise
        self._state = state
        self._reader = DocumentReader(client, state, database=self._database)
        self._commits = self._backend.commits(state)

    async def close(self) -> None:
        if self._commits is None:
            return
        commits, self._commits = self._commits, None
        await commits.close()
        self._reader = self._state = None
        try:
            await self._backend.close()
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error

    async def prepare(self) -> None:
        """Nothing is left to prepare: opening made the collections, and indexes live with the process."""
        self._open_reader()

    async def ping(self) -> None:
        self._open_reader().fetch(CONTROL.collection, ["ping"])

    async def facts(self) -> StoreFacts:
        """The versions of the libraries: the store is this process."""
        self._open_reader()
        return StoreFacts(f"MontyDB {version('montydb')} over SQLite {sqlite3.sqlite_version}", "one process")

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        return self._open_reader().fetch(collection, ids)

    async def gather(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        fetch = self._open_reader().fetch
        return {collection: fetch(collection, ids) for collection, ids in wanted.items()}

    async def find(self, question: Question) -> list[Record]:
        return await self._open_reader().find(question)

    async def count(self, collection: str, where: Criterion) -> int:
        return await self._open_reader().count(collection, where)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return self._open_reader().scan(collection, after=after, limit=limit)

    async def commit(self, change_set: ChangeSet) -> None:
        await self._submit(commit_work(change_set))

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Refusal | None]:
        return list(await asyncio.gather(*(self._applied(change_set) for change_set in change_sets)))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        if settlements:
            await self._submit(settle_work(settlements))

    async def _applied(self, change_set: ChangeSet) -> Refusal | None:
        try:
            await self._submit(apply_work(change_set))
        except StoreUnavailable:
            raise
        except TandemError as refusal:
            return Refusal(_told(refusal))
        return None

    async def _submit(self, work: Work) -> None:
        if self._commits is None:
            raise _closed()
        await self._commits.submit(work)

    def _open_reader(self) -> DocumentReader:
        if self._reader is None:
            raise _closed()
        return self._reader


def _closed() -> StoreUnavailable:
    return StoreUnavailable("MontyDB is not open.")


def _told(refusal: TandemError) -> str:
    faults = "; ".join(f"{fault.pointer} {fault.message}" for fault in refusal.violations)
    return f"{refusal.message} {faults}".strip()[:REASON_LENGTH_MAX]
