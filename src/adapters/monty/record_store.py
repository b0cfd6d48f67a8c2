"""The record store over MontyDB, with SQLite as its database."""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from adapters.monty.directory_lock import DirectoryLock
from adapters.monty.errors import DRIVER_ERRORS, TableChanged, code_of, refused, unavailable
from adapters.monty.group_commit import GroupCommits, ImmediateCommits, Writer
from adapters.monty.lane_rows import MontyLanes, register_write
from adapters.monty.own_lane import OwnLane
from adapters.monty.read_connections import ReadConnections
from adapters.monty.reader import Reader, bytes_in_pages
from adapters.monty.sqlite_file import SqliteFile, make_private
from adapters.monty.tables import TABLES
from adapters.monty.tuning import Tuning
from adapters.monty.writes import Write, apply_write, commit_write, free_room, mark_write, take_room
from adapters.records.cancellation import in_thread_to_its_end
from adapters.records.change_set import (
    ApplyOutcome,
    Blocked,
    ChangeSet,
    DeliveryMark,
    LaneStamp,
    Put,
    Rejection,
    stamped,
    superseded,
    taken_reason,
)
from adapters.records.described import Space, free_bytes
from adapters.records.lane_operations import LaneOperations
from adapters.records.lanes import Applied, LaneLost
from adapters.records.loading import Loaded, load_by_apply
from adapters.records.record import Record
from adapters.records.record_store import REASON_LENGTH_MAX, NotOpen, StoreRefused
from adapters.records.specs import CONTROL
from application.ports.health import StoreFacts
from domain.errors import AlreadyExists, StoreUnavailable, TandemError

TRIAL_SECONDS = 2.0
"""While writes fail, how often a ping tries to write: every probe of a service pings."""
LONG_READS_MAX = 2
"""How many long reads run at once; in memory only one, because commits wait for it."""


class MontyRecordStore(LaneOperations[MontyLanes, OwnLane], Reader):
    """The port RecordStore: in memory without a directory, otherwise in one SQLite file in the directory.

    Only one process can open a directory at a time. Records are checked and encoded on the event
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
        self._writer: Writer | None = None
        self._next_trial = 0.0
        self._is_inspected = False
        self._lanes = MontyLanes(self._submit, lambda: self._reads)
        self._own_lanes = OwnLane(
            lambda lane, admission, previous: self._submit(register_write(lane, admission, previous=previous))
        )
        self._commits: ImmediateCommits | GroupCommits | None = None

    async def open(self) -> None:
        if self._commits is not None:
            return
        try:
            if self._directory is not None and self._lock is not None:
                self._require_current_format(self._directory)
                make_private(self._directory)
                self._lock.take()
            if self._directory is None:
                self._file.open()
            else:
                await in_thread_to_its_end(self._file.open)
            self._start()
        except BaseException as error:
            self._file.close()
            if self._lock is not None:
                self._lock.release()
            if code_of(error) == sqlite3.SQLITE_BUSY:
                # Another program has locked the file, which may end.
                raise unavailable(error) from error
            if isinstance(error, DRIVER_ERRORS):
                raise refused(error, self._directory) from error
            raise

    async def inspect(self) -> None:
        """See Inspectable.inspect. Afterwards the store answers reads, and `commit` raises StoreUnavailable."""
        try:
            self._require_unused()
            await in_thread_to_its_end(self._file.open_to_read)
            short, long = self._file.connection("reader"), self._file.connection("long")
        except DRIVER_ERRORS as error:
            self._file.close()
            raise refused(error, self._directory) from error
        except BaseException:
            self._file.close()
            raise
        self._connections = ReadConnections(
            short, [long], slots=asyncio.Semaphore(1), tuning=self._tuning, note_error=self._file.note_error
        )
        self._is_inspected = True

    def _require_unused(self) -> None:
        if self._directory is None or self._lock is None:
            return
        self._require_current_format(self._directory)
        if (holder := self._lock.holder()) is not None:
            raise StoreUnavailable(
                f"Process {holder} uses the MontyDB directory, and no service with these settings was found that could "
                "be asked instead. If it has just been started, or is a command, type this again in a moment. If it is "
                f"a service with other settings, type: kill {holder}, and start it with these: tandem serve"
            )

    def _require_current_format(self, directory: Path) -> None:
        if (directory / f"{self._database}.journal").exists() or (directory / self._database).is_dir():
            raise StoreRefused(
                f"{directory} contains files in an unsupported format from before the first release: "
                "move them away, and Tandem starts with an empty store."
            )

    def _start(self) -> None:
        writer, tuning, is_in_memory = self._file.writer, self._tuning, self._directory is None
        short = writer if is_in_memory else self._file.connection("reader")
        long = [self._file.connection("long") for _ in range(1 if is_in_memory else LONG_READS_MAX)]
        slots = asyncio.Semaphore(len(long))
        self._connections = ReadConnections(
            short, long, slots=slots, tuning=tuning, note_error=self._file.note_error
        )
        self._writer = Writer(self._file, stale_max=tuning.stale_max)
        self._commits = ImmediateCommits(self._writer, slots) if is_in_memory else GroupCommits(self._writer)

    async def close(self) -> None:
        if self._is_inspected:
            self._is_inspected = False
            reads, self._connections = self._reads, None
            await reads.close()
            self._file.close()
            return
        if self._commits is None:
            return
        commits, self._commits = self._commits, None
        await commits.close()
        reads, self._connections = self._reads, None
        await reads.close()
        try:
            if self._directory is None:
                self._file.close()
            else:
                await in_thread_to_its_end(self._file.close)
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error
        finally:
            if self._lock is not None:
                self._lock.release()

    async def prepare(self) -> None:
        """Only pings, because opening creates and rebuilds the tables."""
        await self.ping()

    async def ping(self) -> None:
        """Reads and checks the files; after a write has failed, also writes until that succeeds."""
        await self.fetch(CONTROL.collection, ["ping"])
        if self._is_inspected:
            return
        try:
            self._file.require_sound()
        except DRIVER_ERRORS as error:
            raise unavailable(error) from error
        if self._writer is None or self._writer.failure is None:
            return
        if time.monotonic() < self._next_trial:
            raise StoreUnavailable(self._writer.failure)
        self._next_trial = time.monotonic() + TRIAL_SECONDS
        await self._submit(take_room)
        await self._submit(free_room)
        self._writer.failure = None

    def require_files(self) -> None:
        """See OnDisk."""
        if self._commits is None:
            return
        try:
            self._file.require_in_place()
        except OSError as error:
            raise StoreRefused(str(error)) from error

    async def facts(self) -> StoreFacts:
        """The versions of the libraries, since there is no server."""
        await self.ping()
        return StoreFacts(f"MontyDB {version('montydb')} over SQLite {sqlite3.sqlite_version}", "one process")

    async def space(self) -> Space:
        """The pages of the database, also in memory, and what its disk has left."""
        used = await self._reads.soon(bytes_in_pages)
        directory = self._directory
        return Space(used, None if directory is None else await asyncio.to_thread(free_bytes, directory))

    async def commit(self, change_set: ChangeSet) -> LaneStamp | None:
        stamp = await self._own_lanes.next()
        # Numbers are queued in their order: nothing is awaited in between.
        await self._submit(commit_write(stamped(change_set, stamp)), stamp, rows=change_set.rows)
        return stamp

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        return (await self.apply_by_lane(change_sets)).outcomes

    async def apply_by_lane(self, change_sets: Sequence[ChangeSet]) -> Applied:
        """See LanedStore."""
        outcomes = await asyncio.gather(*(self._applied(change_set) for change_set in change_sets))
        return Applied(list(outcomes), self._own_lanes.last)

    async def load(self, collection: str, records: Sequence[Record], *, checkpoint: Put | None) -> Loaded:
        """See BulkLoader."""
        return await load_by_apply(self, collection, records, checkpoint=checkpoint)

    async def mark(self, marks: Sequence[DeliveryMark]) -> None:
        if marks:
            await self._submit(mark_write(marks), rows=len(marks))

    async def _applied(self, change_set: ChangeSet) -> ApplyOutcome:
        held: dict[tuple[str, str], int] = {}
        try:
            stamp = await self._own_lanes.next()
            await self._submit(apply_write(change_set, held), stamp, rows=change_set.rows)
        except TableChanged as changed:
            table = changed.table or next((collection for collection, _ in change_set.touched()), None)
            if table not in TABLES:
                raise
            return Blocked(table, table, changed.message)
        except StoreUnavailable:
            raise
        except AlreadyExists as error:
            return Rejection(taken_reason(error.fields)[:REASON_LENGTH_MAX])
        except TandemError as error:
            violations = "; ".join(f"{each.pointer} {each.message}" for each in error.violations)
            return Rejection(f"{error.message} {violations}".strip()[:REASON_LENGTH_MAX])
        return superseded(change_set, held)

    async def _submit(self, write: Write, stamp: LaneStamp | None = None, *, rows: int = 1) -> None:
        if self._commits is None:
            raise NotOpen("MontyDB is not open.")
        try:
            await self._commits.submit(write, stamp, rows=rows)
        except LaneLost:
            self._own_lanes.admit(None)
            raise
