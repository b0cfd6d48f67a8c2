"""Creates the databases of a server, and runs PostgreSQL's programs on them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from adapters.embedded_postgres.account import choose_account
from adapters.embedded_postgres.programs import find_programs
from adapters.files.directories import sync
from adapters.files.whole_files import OWNER_ONLY
from adapters.records.record_store import StoreRefused

DATABASE = USER = "tandem"
UNFINISHED = "unfinished-"
CREATE_SECONDS_MAX = 120.0
LOG_BYTES_MAX = 8_000_000
LOG_TAIL_LINES_MAX = 15


class Cluster:
    """The databases below one directory. One account owns them and runs every program; output goes to a log.

    Raises StoreRefused where this machine has no program that can open them.
    """

    def __init__(self, directory: Path, *, program_folders: Iterable[Path] | None) -> None:
        self.data = directory / "data"
        self._directory = directory
        self._log = directory / "server.log"
        self._known = directory / "created"
        version = self.data / "PG_VERSION"
        self._major = int(version.read_text().split(".")[0]) if version.exists() else None
        self._programs = find_programs(major=self._major, folders=program_folders)
        self.account = choose_account(self.data)
        self.account.own(directory)
        self.account.let_pass(directory.parent)
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES_MAX:
            self._log.replace(self._log.with_suffix(".log.1"))

    def create(self) -> None:
        """Creates the database where there never was one; a crash on the way leaves none. Raises StoreRefused."""
        if self._major is not None:
            self._note_created()
            return
        if self._known.exists():
            raise StoreRefused(
                f"The database in {self.data} is missing or empty, although there was one: restore it from a copy, or "
                f"remove {self._known} to start with an empty database."
            )
        for unfinished in self._directory.glob(f"{UNFINISHED}*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        # A new name each time: the initdb of a killed process may still be writing into the former one.
        unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self._directory))
        self.account.own(unfinished)
        options = ["--locale=C", "--encoding=UTF8", "--auth=trust", f"--username={USER}"]
        self._run("initdb", ["-D", str(unfinished), *options])
        # Without a server. Renaming the database that initdb creates is faster than creating another.
        alone = ["--single", "-D", str(unfinished), "-c", "exit_on_error=on", "template1"]
        self._run("postgres", alone, statement=f"ALTER DATABASE postgres RENAME TO {DATABASE}\n")
        unfinished.rename(self.data)
        # Without this a power cut could undo the renaming, and lose every write acknowledged since.
        sync(self._directory)
        self._note_created()

    def _note_created(self) -> None:
        self._known.touch(OWNER_ONLY)

    def spawn_server(self, options: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Starts the server and returns at once."""
        with self._opened_log() as log:
            launch = self._launch("postgres", ["-D", str(self.data), *options], log)
            return subprocess.Popen(**launch, stdin=subprocess.DEVNULL)

    def failure(self, what: str) -> StoreRefused:
        """The error for a program that failed, with the end of the log."""
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES_MAX:])
        message = f"{what} in {self._directory}. The log ({self._log}) says why; it ends with:\n{tail}"
        if self.account.user is not None:
            message += (
                f"\nIt ran as user {self.account.user}, because PostgreSQL refuses to run as root. Give that user "
                "access to the directory and the programs, or run Tandem as an ordinary user."
            )
        return StoreRefused(message)

    def _opened_log(self) -> IO[bytes]:
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, OWNER_ONLY)
        return os.fdopen(descriptor, "ab")

    def _run(self, program: str, arguments: Sequence[str], *, statement: str = "") -> None:
        with self._opened_log() as log:
            launch = self._launch(program, arguments, log)
            answer = subprocess.run(
                **launch, input=statement.encode(), timeout=CREATE_SECONDS_MAX, check=False
            )
        if answer.returncode != 0:
            raise self.failure(f"{program} failed")

    def _launch(self, program: str, arguments: Sequence[str], log: IO[bytes]) -> dict[str, Any]:
        """How a program is started; in a session of its own it does not get the signals of this terminal."""
        return {
            "args": [*self.account.prefix, str(self._programs / program), *arguments],
            "stdout": log,
            "stderr": log,
            "cwd": self._directory,
            "env": {name: value for name, value in os.environ.items() if not name.startswith("PG")}
            | {"LC_ALL": "C"},
            "start_new_session": True,
            "user": self.account.user,
            "group": self.account.group,
            "extra_groups": None if self.account.user is None else [],
        }
