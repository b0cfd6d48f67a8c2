"""The file beside the database that says which store it is, and which log belongs to it.

`<database>.identity` holds the store's id and, from a process's first write until it closes the database, a number that
the database holds as well. A killed process leaves both behind, and its last commits in the log alone: without the log,
or with another database under it, the store would open with commits missing or mixed up.
"""

import os
import secrets
import sqlite3
import time
from contextlib import closing, suppress
from enum import Enum
from pathlib import Path
from threading import Lock

from adapters.files.whole_files import OWNER_ONLY, replace_file
from adapters.monty.errors import DAMAGE_CODES, code_of
from adapters.records.record_store import StoreRefused

_NUMBER_AT = slice(60, 64)
"""Where the file format of SQLite keeps `user_version`."""
_PAGE_SIZE_AT, _PAGES_AT = slice(16, 18), slice(28, 32)
_PAGE_SIZE_MAX = 65_536
"""Kept as 1, because it does not fit into two bytes."""
_NUMBERS = 2**31 - 1
CHECK_SECONDS_MAX = 1.0
"""How long a database is checked whose log is missing: a start must not take as long as reading a large one."""
_STEPS_BETWEEN_LOOKS = 10_000
_OVERWRITTEN = "overwritten"
"""In place of the number: SQLite has perhaps mixed the log into a copy that it does not belong to."""
_CUT = "cut"
"""In place of the number: a part of the database is gone, whatever its log may bring back."""
_HARM = {_CUT: "A part of {} was cut off", _OVERWRITTEN: "Another copy was written over {}"}


class Soundness(Enum):
    """What is known of a database without its log."""

    SOUND = "sound"
    DAMAGED = "damaged"
    UNCHECKED = "unchecked"


class IdentityFile:
    """The identity of the database at this path."""

    def __init__(self, database: Path, *, check_seconds_max: float = CHECK_SECONDS_MAX) -> None:
        self._database = database
        self._check_seconds_max = check_seconds_max
        self._log = database.with_name(f"{database.name}-wal")
        self._path = database.with_suffix(".identity")
        self._opened: dict[Path, tuple[int, int]] = {}
        self._store, self._has_number = "", False
        self._numbers: set[int] = set()
        """What the database may hold while it is the one that was opened."""
        self._descriptor: int | None = None
        """Of the open database: closing one of its descriptors takes the locks of all of them away."""
        self._harm: str | None = None
        """What was done to the open database that nothing but a copy puts right, in place of the number."""
        self._looking = Lock()

    def known_store(self) -> str | None:
        """The id of the store; None where there is none yet. Raises StoreRefused where its files are not complete."""
        if not self._path.exists():
            return None
        store, _, number = self._path.read_text().partition(" ")
        if not self._database.exists() or not self._database.stat().st_size:
            raise StoreRefused(
                f"The database file {self._database} is missing or empty, although this directory held one: restore it "
                "from a copy, without the files beside it that do not belong to the copy, or remove "
                f"{self._database.with_suffix('.*')} to start with an empty store."
            )
        if number in _HARM:
            raise StoreRefused(
                f"{_HARM[number].format(self._database)} while it was in use. Restore a complete copy, without the "
                f"files -wal and -shm beside it, and remove {self._path}."
            )
        if number and not (self._log.exists() and self._number() == int(number)):
            raise StoreRefused(
                f"The last writes are missing: the process before this one was killed and left them in {self._log}, "
                f"which is not there or does not belong to {self._database.name}. Restore a copy that is complete"
                f"{self._way_on()}"
            )
        return store

    def _way_on(self) -> str:
        """What helps without a copy: the database alone, unless it lacks a part that was written to the log only."""
        soundness = _soundness_of(self._database, seconds_max=self._check_seconds_max)
        if soundness is Soundness.DAMAGED:
            return f": without them {self._database.name} is damaged."
        way_on = f", or remove {self._path} and the log to go on without those writes."
        if soundness is Soundness.SOUND:
            return way_on
        return (
            f"{way_on} Whether {self._database.name} is damaged without them is not known, because checking it takes "
            "too long here or fails: keep a copy of the directory, and let PRAGMA integrity_check of the program "
            "sqlite3 say ok before you start Tandem."
        )

    def open(self, store: str) -> None:
        """Remembers which files are open."""
        if not self._path.exists():
            self._write(store)
        # The log begins anew from time to time.
        database, log = self._database.stat(), self._log.stat()
        self._opened = {self._database: (database.st_ino, database.st_size), self._log: (log.st_ino, 0)}
        self._store, self._has_number, self._harm = store, False, None
        self._descriptor = os.open(self._database, os.O_RDONLY | os.O_CLOEXEC)
        self._numbers = {self._number_in(self._descriptor)}

    def note_size(self) -> None:
        """Remembers how far the open database has grown; follows each write. Raises OSError."""
        inode, size = self._opened[self._database]
        found = self._database.stat()
        if found.st_ino == inode and found.st_size > size:
            self._opened[self._database] = (inode, found.st_size)

    def require_in_place(self) -> None:
        """Raises OSError where the open files were deleted, replaced, cut or overwritten: writes would be lost.

        A database that was cut or overwritten stays so until a copy is restored, whatever is done to it meanwhile.
        """
        self._look_for_harm()
        if self._harm is None and not (self._is_in_place(self._database) and self._is_in_place(self._log)):
            raise OSError(
                f"{self._database} or its log was deleted, replaced or emptied while in use, so nothing is written any "
                "more. Stop Tandem, and restore a copy if it does not start again."
            )
        if self._harm is not None:
            raise OSError(
                f"{_HARM[self._harm].format(self._database)} while in use, so nothing is written any more. Stop "
                "Tandem, remove the files -wal and -shm beside it, which do not belong to a copy, and restore a "
                "complete copy of the database."
            )

    def log_bytes(self) -> int:
        """The size of the log."""
        return self._log.stat().st_size

    def note_writing(self, writer: sqlite3.Connection) -> None:
        """Notes before the first write that the log belongs to this database; not while another program uses the log.

        After each step the next process can open the store. Raises sqlite3.Error where another program keeps the
        database locked: then nothing can be written, and the next attempt notes it.
        """
        if self._has_number:
            return
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("ROLLBACK")
        if is_written_back(writer):
            self._write(self._store)
            number = secrets.randbelow(_NUMBERS) + 1
            self._numbers = {*self._numbers, number}
            writer.execute(f"PRAGMA user_version = {number}")
            if is_written_back(writer):
                self._numbers = {number}
                self._write(f"{self._store} {number}")
        self._has_number = True

    def close(self, writer: sqlite3.Connection) -> None:
        """Notes that the database is complete without its log; nothing may be written after this."""
        # Where the log cannot be written back it stays, and the next process opens the store with it.
        with suppress(sqlite3.Error, OSError):
            self._look_for_harm()
            if self._harm is None and self._is_in_place(self._database) and is_written_back(writer):
                self._remove_number()

    def release(self) -> None:
        """Follows `close`, once no connection is open any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_in_place(self, path: Path) -> bool:
        inode, size = self._opened[path]
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        return found.st_ino == inode and (found.st_size >= size or self._was_made_smaller(found.st_size))

    def _is_cut(self) -> bool:
        """Whether the open database is still there with a part of it missing."""
        inode, size = self._opened[self._database]
        try:
            found = self._database.stat()
        except FileNotFoundError:
            return False
        is_smaller = found.st_ino == inode and 0 < found.st_size < size
        return is_smaller and not self._was_made_smaller(found.st_size)

    def _was_made_smaller(self, size: int) -> bool:
        """Whether SQLite has made the open database smaller, as VACUUM does, and remembers its size then.

        The first page says how many there are. SQLite writes it before it cuts the file, and before it lets it grow.
        """
        if self._descriptor is None or not size:
            return False
        head = os.pread(self._descriptor, _PAGES_AT.stop, 0)
        page_size = int.from_bytes(head[_PAGE_SIZE_AT], "big")
        pages = int.from_bytes(head[_PAGES_AT], "big")
        is_whole = pages > 0 and pages * (page_size if page_size > 1 else _PAGE_SIZE_MAX) <= size
        if is_whole:
            self._opened[self._database] = (self._opened[self._database][0], size)
        return is_whole

    def _look_for_harm(self) -> None:
        """Notes it for the next process as well, which may find the log of a killed one. Raises OSError."""
        with self._looking:
            if self._harm is not None:
                return
            if self._is_cut():
                self._harm = _CUT
            elif self._is_in_place(self._database) and not self._is_own():
                self._harm = _OVERWRITTEN
            if self._harm is not None:
                self._write(f"{self._store} {self._harm}")

    def _is_own(self) -> bool:
        """Whether the database holds the number of this process, which no copy from before it does."""
        return self._descriptor is None or self._number_in(self._descriptor) in self._numbers

    def _number(self) -> int:
        """What the database file itself holds, whatever is in the log; only while no connection is open."""
        with self._database.open("rb") as file:
            return self._number_in(file.fileno())

    @staticmethod
    def _number_in(descriptor: int) -> int:
        return int.from_bytes(os.pread(descriptor, _NUMBER_AT.stop, 0)[_NUMBER_AT], "big")

    def _remove_number(self) -> None:
        """Cuts the number off, which a full disk allows as well: SQLite removes the log next, whatever happens here."""
        with self._path.open("r+b") as file:
            file.truncate(len(self._store.encode()))
            os.fsync(file.fileno())

    def _write(self, text: str) -> None:
        """The whole text, or what was there before."""
        if self._path.exists() and self._path.read_text() == text:
            return
        replace_file(self._path, text.encode(), mode=OWNER_ONLY)


def _soundness_of(database: Path, *, seconds_max: float) -> Soundness:
    """Whether a database that nobody uses is undamaged without its log."""
    deadline = time.monotonic() + seconds_max
    try:
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as reader:
            reader.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
            (found,) = reader.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        # An interrupted check, or one that the system did not let read, has found nothing.
        return Soundness.DAMAGED if code_of(error) in DAMAGE_CODES else Soundness.UNCHECKED
    return Soundness.SOUND if found == "ok" else Soundness.DAMAGED


def is_written_back(writer: sqlite3.Connection) -> bool:
    """Writes the log back to the database. False where another program still reads what is in the log."""
    (is_busy, *_) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy
