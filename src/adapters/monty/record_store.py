"""The record store over MontyDB, with SQLite as its database."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from adapters.monty.directory_lock import DirectoryLock
from adapters.monty.errors import DRIVER_ERRORS, refused, unavailable
from adapters.monty.group_commit import GroupCommits, ImmediateCommits
from adapters.monty.read_connections import ReadConnections
from adapters.monty.reader import Reader
from adapters.monty.sqlite_file import SqliteFile, make_private
from adapters.monty.tuning import Tuning
from adapters.monty.writes import Write, apply_write, commit_write, settle_write
from adapters.records.change_set import ChangeSet, Refusal, Settlement
from adapters.records.criteria import Criterion, Question
from adapters.records.record import Record
from adapters.records.record_store import REASON_LENGTH_MAX, StoreRefused
from adapters.records.specs import CONTROL
from application.ports.health import StoreFacts
from domain.errors import StoreUnavailable, TandemError

LONG_READS_MAX = 2
"""How many long reads run at once; one in memory, where a commit waits for it."""


class MontyRecordStore:
    """The port RecordStore: in memory where no directory is given, otherwise in one SQLite file there.

    For one process: a directory that another one has open is refused. Records are checked and encoded on the event
    loop; a writer thread commits them in groups. Short reads run on the event loop, long ones in threads.
    """

    name = "monty"

    def __init__(
        self, directory: Path | None, *, database: str = "tandem", tuning: Tuning | None = None
    ) -> None:
        self._directory, self._database = directory, database
        self._tuning = tuning or Tuning()
        path = None if directory is None else directory / f"{database}.sqlite"
        self._file = SqliteFile(path, self._tuning)
        self._lock = None if directory is None else DirectoryLock(directory)
        self._commits: ImmediateCommits | GroupCommits | None = None
        self._reader: Reader | None = None

    async def open(self) -> None:
        if self._commits is not None:
            return
        try:
            if self._directory is not None and self._lock is not None:
                self._refuse_earlier_format(self._directory)
                make_private(self._directory)
                self._lock.take()
            if self._directory is None:
                self._file.open()
            else:
                await asyncio.to_thread(self._file.open)
            self._start()
        except BaseException as error:
            self._file.close()
            if self._lock is not None:
                self._lock.release()
            if isinstance(error, DRIVER_ERRORS):
                raise refused(error, self._directory) from error
            raise

    def _refuse_earlier_format(self, directory: Path) -> None:
        if (directory / f"{self._database}.journal").exists() or (directory / self._database).is_dir():
            raise StoreRefused(
                f"{directory} holds files in a format from before the first release, which nothing reads any more: "
                "move them away, and Tandem starts with an empty store."
            )

    def _start(self) -> None:
        writer, tuning, is_in_memory = self._file.writer, self._tuning, self._directory is None
        short = writer if is_in_memory else self._file.connection("reader")
        long = [self._file.connection("long") for _ in range(1 if is_in_memory else LONG_READS_MAX)]
        slots = asyncio.Semaphore(len(long))
        self._reader = Reader(ReadConnections(short, long, slots=slots, tuning=tuning), tuning.strategy)
        if is_in_memory:
            self._commits = ImmediateCommits(writer, slots, stale_max=tuning.stale_max)
        else:
            self._commits = GroupCommits(writer, stale_max=tuning.stale_max)

    async def close(self) -> None:
        if self._commits is None:
            return
        commits, self._commits = self._commits, None
        await commits.close()
        reader, self._reader = self._open_reader(), None
        await reader.close()
        try:
            await asyncio.to_thread(self._file.close)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error
        finally:
            if self._lock is not None:
                self._lock.release()

    async def prepare(self) -> None:
        """Nothing is left to prepare: opening creates and rebuilds the tables."""
        self._open_reader()

    async def ping(self) -> None:
        await self._open_reader().fetch(CONTROL.collection, ["ping"])

    async def facts(self) -> StoreFacts:
        """The versions of the libraries: the store is this process."""
        self._open_reader()
        return StoreFacts(f"MontyDB {version('montydb')} over SQLite {sqlite3.sqlite_version}", "one process")

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        return await self._open_reader().fetch(collection, ids)

    async def gather(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Record]]:
        return await self._open_reader().gather(wanted)

    async def find(self, question: Question) -> list[Record]:
        return await self._open_reader().find(question)

    async def count(self, collection: str, where: Criterion) -> int:
        return await self._open_reader().count(collection, where)

    async def scan(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        return await self._open_reader().scan(collection, after=after, limit=limit)

    async def commit(self, change_set: ChangeSet) -> None:
        await self._submit(commit_write(change_set))

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Refusal | None]:
        return list(await asyncio.gather(*(self._applied(change_set) for change_set in change_sets)))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        if settlements:
            await self._submit(settle_write(settlements))

    async def _applied(self, change_set: ChangeSet) -> Refusal | None:
        try:
            await self._submit(apply_write(change_set))
        except StoreUnavailable:
            raise
        except TandemError as refusal:
            faults = "; ".join(f"{fault.pointer} {fault.message}" for fault in refusal.faults)
            return Refusal(f"{refusal.message} {faults}".strip()[:REASON_LENGTH_MAX])
        return None

    async def _submit(self, write: Write) -> None:
        if self._commits is None:
            raise StoreUnavailable("MontyDB is not open.")
        await self._commits.submit(write)

    def _open_reader(self) -> Reader:
        if self._reader is None:
            raise StoreUnavailable("MontyDB is not open.")
        return self._reader
