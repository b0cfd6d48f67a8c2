"""The record store over MontyDB, with SQLite as its database."""

import asyncio
import sqlite3
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from adapters.monty.directory_lock import DirectoryLock
from adapters.monty.errors import DRIVER_ERRORS, refused, unavailable
from adapters.monty.group_commit import GroupCommits, ImmediateCommits, Writer
from adapters.monty.read_connections import ReadConnections
from adapters.monty.reader import Reader
from adapters.monty.sqlite_file import SqliteFile, make_private
from adapters.monty.tuning import Tuning
from adapters.monty.writes import Write, apply_write, commit_write, mark_write
from adapters.records.change_set import ChangeSet, DeliveryMark, Rejection
from adapters.records.record_store import REASON_LENGTH_MAX, StoreRefused
from adapters.records.specs import CONTROL
from application.ports.health import StoreFacts
from domain.errors import StoreUnavailable, TandemError

LONG_READS_MAX = 2
"""How many long reads run at once; one in memory, where a commit waits for it."""


class MontyRecordStore(Reader):
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
        super().__init__(self._tuning.strategy)
        path = None if directory is None else directory / f"{database}.sqlite"
        self._file = SqliteFile(path, self._tuning)
        self._lock = None if directory is None else DirectoryLock(directory)
        self._commits: ImmediateCommits | GroupCommits | None = None

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
        self._connections = ReadConnections(short, long, slots=slots, tuning=tuning)
        runner = Writer(self._file, stale_max=tuning.stale_max)
        self._commits = ImmediateCommits(runner, slots) if is_in_memory else GroupCommits(runner)

    async def close(self) -> None:
        if self._commits is None:
            return
        commits, self._commits = self._commits, None
        await commits.close()
        reads, self._connections = self._reads, None
        await reads.close()
        try:
            await asyncio.to_thread(self._file.close)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error
        finally:
            if self._lock is not None:
                self._lock.release()

    async def prepare(self) -> None:
        """Nothing is left to prepare: opening creates and rebuilds the tables."""
        await self.ping()

    async def ping(self) -> None:
        await self.fetch(CONTROL.collection, ["ping"])
        try:
            self._file.require_in_place()
        except OSError as error:
            raise unavailable(error) from error

    async def facts(self) -> StoreFacts:
        """The versions of the libraries: the store is this process."""
        await self.ping()
        return StoreFacts(f"MontyDB {version('montydb')} over SQLite {sqlite3.sqlite_version}", "one process")

    async def commit(self, change_set: ChangeSet) -> None:
        await self._submit(commit_write(change_set))

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[Rejection | None]:
        return list(await asyncio.gather(*(self._applied(change_set) for change_set in change_sets)))

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        if marks:
            await self._submit(mark_write(marks))

    async def _applied(self, change_set: ChangeSet) -> Rejection | None:
        try:
            await self._submit(apply_write(change_set))
        except StoreUnavailable:
            raise
        except TandemError as refusal:
            faults = "; ".join(f"{fault.pointer} {fault.message}" for fault in refusal.violations)
            return Rejection(f"{refusal.message} {faults}".strip()[:REASON_LENGTH_MAX])
        return None

    async def _submit(self, write: Write) -> None:
        if self._commits is None:
            raise StoreUnavailable("MontyDB is not open.")
        await self._commits.submit(write)
