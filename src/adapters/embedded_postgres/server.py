"""Runs the PostgreSQL server of one directory for one process.

The server is a child of the process that owns the directory and ends with it: at `stop`, or through a guard where the
process ends in any other way. A start kills the server of an earlier owner; it never adopts a running server.

The server only listens on a Unix socket in a directory that only its owner can access, so it needs no password.

    directory/data         the database cluster        directory/server.log   the server's log
    directory/owner.lock   locked by the owner, whose process number it holds
    directory/created      there once the cluster is: from then on a missing cluster is refused and not created again
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from adapters.embedded_postgres.cluster import DATABASE, USER, Cluster
from adapters.embedded_postgres.processes import POLL_SECONDS, end_server_processes
from adapters.files.directories import make_private_directory
from adapters.records.record_store import NothingStored, StoreRefused

PORT = 5432
"""Never opened: it is part of the socket's name."""
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
STATUS_LINE = 7
"""Where `postmaster.pid` says `ready`, counted from 0."""
SETTINGS = {"listen_addresses": "", "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
GUARD = 'read -r line; kill -QUIT "$1"; kill -CONT "$1"; rm -rf "$2"'
"""Waits for the end of a pipe that the owner holds and that the system closes however the owner ends. An immediate
shutdown also ends children that are frozen.
"""


class EmbeddedPostgres:
    """A server with the database `tandem` (C collation, UTF-8) at `url`, only for the process that starts it.

    `program_folders` replaces the search for PostgreSQL's programs; `settings` adds to the server's settings. Methods
    block, and may be called from any thread.
    """

    def __init__(
        self,
        directory: Path,
        *,
        program_folders: Iterable[Path] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory.absolute()
        self._program_folders = program_folders
        self._settings = {**SETTINGS, **(settings or {})}
        self._sockets = Path(tempfile.gettempdir()) / f"tandem-{secrets.token_hex(8)}"
        self.url = f"postgresql://{USER}@/{DATABASE}?host={self._sockets}&port={PORT}"
        self._busy = threading.Lock()
        self._owner_lock: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._served: tuple[int, int] | None = None
        """The identity of the directory that the server runs in; None while it does not run."""

    @property
    def process_id(self) -> int | None:
        """The postmaster; None while no server runs."""
        return self._server.pid if self._server is not None and self._server.poll() is None else None

    @property
    def directory(self) -> Path:
        """The directory of the server."""
        return self._directory

    @property
    def has_files(self) -> bool:
        """Whether the files of the databases are in their place, and those that the running server has opened."""
        return (self._directory / "data" / "PG_VERSION").exists() and self._served in (None, self._identity())

    @property
    def is_busy(self) -> bool:
        """Whether a start or a stop is going on."""
        return self._busy.locked()

    def require_database(self) -> None:
        """Changes nothing. Raises NothingStored if there never was a database, StoreRefused if it is gone."""
        if (self._directory / "data" / "PG_VERSION").exists():
            return
        if (self._directory / "created").exists():
            raise StoreRefused(
                f"The database in {self._directory} is missing or empty. Restore it from a copy."
            )
        raise NothingStored(
            f"There is no embedded PostgreSQL in {self._directory}. To create it, type: tandem serve (in production "
            "first: tandem migrate up)"
        )

    def start(self) -> None:
        """Starts the server unless it runs, and returns once it takes connections.

        A frozen server of this process counts as running. Raises StoreRefused, whose message says what to do.
        """
        with self._busy:
            try:
                self._own_directory()
                # Without its socket, which a cleaner of temporary files may have removed, nobody can reach the server.
                if self.process_id is None or not (self._sockets / f".s.PGSQL.{PORT}").exists():
                    self._launch()
            except BaseException as error:
                self._stop()
                if not isinstance(error, OSError | subprocess.SubprocessError):
                    raise
                raise StoreRefused(
                    f"PostgreSQL cannot be started in {self._directory}: {error}. Run as a user who owns the directory "
                    "and can run the programs, or set DATA_DIR to another directory or POSTGRES_URL to a server."
                ) from error

    def stop(self) -> None:
        """Shuts the server down, by force where it does not end in time. Harmless when it does not run."""
        with self._busy:
            self._stop()

    def _own_directory(self) -> None:
        if self._owner_lock is not None:
            return
        make_private_directory(self._directory, levels=2)  # DATA_DIR as well
        lock = os.open(self._directory / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(lock, 20).decode("ascii", "replace") or "unknown"
            os.close(lock)
            raise StoreRefused(
                f"Process {owner} uses the PostgreSQL server in {self._directory}, which serves one process at a time. "
                "Stop that process, or set POSTGRES_URL to the address of a server that both can use."
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._owner_lock = lock

    def _launch(self) -> None:
        self._shut_down()
        cluster = Cluster(self._directory, program_folders=self._program_folders)
        end_server_processes(cluster.data)
        cluster.create()
        # Left by a crash. PostgreSQL would see a running server if its process number has been reused.
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)
        if not self._sockets.exists():
            self._sockets.mkdir(mode=0o700)
            cluster.account.own(self._sockets)
        settings = {**self._settings, "unix_socket_directories": str(self._sockets)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._served = self._identity()
        self._server = cluster.spawn_server(options)
        guard = ["/bin/sh", "-c", GUARD, "sh", str(self._server.pid), str(self._sockets)]
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
        self._await_ready(cluster)

    def _identity(self) -> tuple[int, int]:
        found = (self._directory / "data").stat()
        return found.st_dev, found.st_ino

    def _await_ready(self, cluster: Cluster) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while self.process_id is not None:
            with suppress(FileNotFoundError):
                lines = (cluster.data / "postmaster.pid").read_text(errors="replace").splitlines()
                if len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready":
                    return
            if time.monotonic() > deadline:
                raise cluster.failure(f"PostgreSQL was not ready within {READY_SECONDS_MAX:.0f} seconds")
            time.sleep(POLL_SECONDS)
        raise cluster.failure("PostgreSQL did not start")

    def _stop(self) -> None:
        try:
            self._shut_down()
        finally:
            shutil.rmtree(self._sockets, ignore_errors=True)
            if self._owner_lock is not None:
                os.close(self._owner_lock)
                self._owner_lock = None

    def _shut_down(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(STOP_SECONDS_MAX)
            self._server.kill()
            end_server_processes(self._directory / "data")
            self._server.wait()
            self._server = self._served = None
        if self._guard is not None:
            # Killed, because at the end of its pipe it would signal a process number that may have been reused.
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
