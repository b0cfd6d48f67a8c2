"""What differs between keeping documents in memory and in a directory: opening, committing, closing."""

import asyncio
from itertools import islice
from pathlib import Path
from typing import Protocol

from adapters.monty.directory_lock import DirectoryLock
from adapters.monty.document_keepers import DocumentKeeper, FileKeeper, MemoryKeeper
from adapters.monty.errors import DRIVER_ERRORS, refused
from adapters.monty.group_commit import Commits, GroupCommits, ImmediateCommits
from adapters.monty.journal import Journal
from adapters.monty.stored_state import StoredState
from adapters.records.specs import SPECS

REPLAYED_AT_ONCE_MAX = 1_000
"""How many documents of the journal are written in one transaction when it is replayed."""


class Backend(Protocol):
    """Where a store's documents lie and how they get there."""

    @property
    def keeper(self) -> DocumentKeeper:
        """The documents."""
        ...

    @property
    def directory(self) -> Path | None:
        """Where MontyDB keeps its own settings, if anywhere."""
        ...

    def open(self) -> None:
        """Makes the documents whole and ready. Raises StoreRefused with what to do about it."""
        ...

    def commits(self, state: StoredState) -> Commits:
        """What makes works durable while the backend is open."""
        ...

    async def close(self) -> None:
        """Lets go, after the commits were closed. What could not be made lasting is left to the next opening."""
        ...


class MemoryBackend:
    """Documents that live as long as this object; closing and opening keeps them."""

    directory = None

    def __init__(self, database: str) -> None:
        self.keeper: DocumentKeeper = MemoryKeeper(database)

    def open(self) -> None:
        self.keeper.open(list(SPECS))

    def commits(self, state: StoredState) -> Commits:
        return ImmediateCommits(state)

    async def close(self) -> None:
        """Memory needs no closing."""


class DirectoryBackend:
    """Documents in the files of one directory, which belongs to this process while it is open."""

    def __init__(self, directory: Path, database: str) -> None:
        self.directory: Path | None = directory
        self.keeper: DocumentKeeper = FileKeeper(directory, database)
        self._path = directory
        self._journal = Journal(directory / f"{database}.journal")
        self._lock = DirectoryLock(directory)

    def open(self) -> None:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._lock.take()
            self.keeper.open(list(SPECS))
            self._journal.open()
            self._replay()
        except DRIVER_ERRORS as error:
            self._let_go()
            raise refused(error, self._path) from error

    def commits(self, state: StoredState) -> Commits:
        return GroupCommits(state, self._journal, self.keeper)

    async def close(self) -> None:
        try:
            # Also what is owed to the collections is in the journal, so replaying makes it whole.
            await asyncio.to_thread(self._replay)
        finally:
            self._let_go()

    def _replay(self) -> None:
        """Writes what the journal holds to the collections, over whatever a crash left there, and clears it."""
        documents = self._journal.documents()
        while part := list(islice(documents, REPLAYED_AT_ONCE_MAX)):
            self.keeper.write(part)
        self.keeper.make_lasting()
        self._journal.clear()

    def _let_go(self) -> None:
        self._journal.close()
        self.keeper.close()
        self._lock.release()
