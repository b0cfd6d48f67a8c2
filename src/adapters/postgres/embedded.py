"""A PostgreSQL server of our own (`POSTGRES_URL=embedded`) under one directory, for machines without a server.

The server belongs to the directory and not to a process. It runs in a session of its own, so it outlives a process that
is killed, and the next one adopts it. Every process that uses the directory holds a share of one lock, which the kernel
takes back when the process dies in whatever way: whoever leaves last stops the server, no matter who started it. So a
`tandem doctor` beside a running service never stops the service's server, and a server that a killed process left
behind ends with the next process that leaves properly.

It listens on a Unix socket alone, in a directory only its owner may enter, which is why it asks for no password.

    directory/data         the database cluster        directory/start.lock    one process starts or stops at a time
    directory/server.log   what the server says        directory/users.lock    shared by every process that uses it
                                                       directory/server.lock   inherited by the server itself
"""

import atexit
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from adapters.postgres.embedded_account import choose_account
from adapters.postgres.embedded_process import (
    POLL_SECONDS,
    FileLock,
    Postmaster,
    kill_processes_in,
    opened_lock,
)
from adapters.postgres.embedded_programs import (
    EmbeddedPostgresUnavailable,
    PostgresPrograms,
    find_programs,
)

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresUnavailable"]

DATABASE = "tandem"
USER = "tandem"
PORT = 5432  # never opened: it is part of the socket's name
READY_SECONDS_MAX = 60.0
STARTS_MAX = 3
ORPHAN_SECONDS_MAX = 1.0
INITIALISE_SECONDS_MAX = 120.0
START_LOCK_SECONDS_MAX = INITIALISE_SECONDS_MAX + READY_SECONDS_MAX
STOP_STEPS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0))
SOCKET_PATH_BYTES_MAX = 90  # the system's limit is 104 or 108, and the socket's own name needs the rest
LOG_BYTES_MAX = 8_000_000
LOG_TAIL_LINES_MAX = 15
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """A running server, used by this process until `stop`.

    `url` names the database `tandem` (C collation, UTF-8) for psycopg, and stays the same when the server is started
    again. `version` is the server's, such as `18.6`; `adopted` tells whether it was running already. Every method
    blocks: call it from a thread when a loop is running.
    """

    def __init__(self, directory: Path, *, programs: PostgresPrograms, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "server.log"
        self.version = programs.version
        self.origin = programs.origin
        self.adopted = False
        self.url = ""
        self._programs = programs
        self._settings = {**SETTINGS, **settings}
        self._account = choose_account(directory, programs)
        self._users = FileLock(directory / "users.lock")
        self._owner_process_id = os.getpid()
        self._is_stopped = False

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        program_folders: Iterable[Path] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> "EmbeddedPostgres":
        """Use the server of `directory`: adopt the running one, or recover and start it, or make a new one first.

        `program_folders` replaces the search for PostgreSQL's programs and `settings` adds to the server's settings
        when this call starts it. Raises EmbeddedPostgresUnavailable, whose message says what to do. The server stops
        with the last process that uses it, at `stop` or at the latest when the interpreter exits.
        """
        directory = directory.absolute()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = directory.resolve()
        programs = find_programs(major=_major_of(directory / "data"), folders=program_folders)
        server = cls(directory, programs=programs, settings=settings or {})
        try:
            server._enter()
        except BaseException:
            server._users.close()
            raise
        atexit.register(server.stop)
        return server

    @property
    def process_id(self) -> int | None:
        """The postmaster's process, for whoever watches it; None while no server runs."""
        postmaster = Postmaster.read(self.data)
        return postmaster.process_id if postmaster is not None and postmaster.is_alive(self.data) else None

    def ensure_running(self) -> bool:
        """Start the server again if it has died; returns whether that was needed. A frozen server counts as running."""
        with self._starting_alone():
            return not self._run()

    def stop(self) -> None:
        """Stop using the server; the last user shuts it down: fast, then at once, then by force. May be repeated."""
        if self._is_stopped or os.getpid() != self._owner_process_id:
            return
        self._is_stopped = True
        atexit.unregister(self.stop)
        try:
            # A server whose directory was removed ends by itself: it looks for its pid file every minute.
            if self.directory.exists():
                with self._starting_alone():
                    if self._users.is_mine_alone():
                        self._shut_down()
        finally:
            self._users.close()

    def _enter(self) -> None:
        with self._starting_alone():
            self._users.share()
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            self.adopted = self._run()

    @contextmanager
    def _starting_alone(self) -> Iterator[None]:
        with opened_lock(self.directory / "start.lock") as lock:
            if not lock.wait_until_mine_alone(START_LOCK_SECONDS_MAX):
                raise EmbeddedPostgresUnavailable(
                    f"Another process has been starting the PostgreSQL server in {self.directory} for "
                    f"{START_LOCK_SECONDS_MAX:.0f} seconds. End that process and try again."
                )
            yield

    def _initialise(self) -> None:
        """Make the cluster and the database beside their final place, so that a crash half way leaves nothing."""
        unfinished = self.directory / "data.unfinished"
        with opened_lock(self.directory / "server.lock") as lock:
            # A killed process may have left its initdb running, which would write into the directory made next.
            if not lock.wait_until_mine_alone(INITIALISE_SECONDS_MAX):
                raise EmbeddedPostgresUnavailable(
                    f"An earlier initdb in {self.directory} does not end; end it first."
                )
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(mode=0o700)
            self._account.own(unfinished)
            options = ["--locale=C", "--encoding=UTF8", "--auth=trust", f"--username={USER}"]
            self._run_program("initdb", "-D", str(unfinished), *options, inherited=lock.descriptor)
            # "template1" is there to connect to; a server in single-user mode reads one statement a line.
            alone = ["--single", "-D", str(unfinished), "-c", "exit_on_error=on", "template1"]
            text = f"CREATE DATABASE {DATABASE}\n"
            self._run_program("postgres", *alone, text=text, inherited=lock.descriptor)
            unfinished.rename(self.data)
        # Without this a power cut could take the new name back, and every write acknowledged since with it.
        descriptor = os.open(self.directory, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def _run(self) -> bool:
        """Have a server that is ready; returns whether it was running already."""
        for attempt in range(STARTS_MAX):
            was_running = attempt == 0 and self._is_server_alive()
            if not was_running:
                self._launch()
            postmaster = self._await_ready()
            if postmaster is not None:
                self.url = f"postgresql://{USER}@/{DATABASE}?host={postmaster.socket_directory}&port={PORT}"
                return was_running
        raise EmbeddedPostgresUnavailable(
            f"The PostgreSQL server in {self.directory} does not start. "
            f"Its log ({self.log}) ends with:\n{self._log_tail()}"
        )

    def _launch(self) -> None:
        """Start the server, which inherits its lock; nothing of an earlier server may be alive."""
        socket_directory = self._prepare_socket_directory()
        # Left by a crash. PostgreSQL would take them for a running server if their process number is in use again.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in socket_directory.glob(".s.PGSQL.*"):
            leftover.unlink()
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        settings = {**self._settings, "unix_socket_directories": str(socket_directory)}
        options = shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        with opened_lock(self.directory / "server.lock") as lock:
            if not lock.wait_until_mine_alone(1.0):
                return
            arguments = ["-D", str(self.data), "-W", "-s", "-l", str(self.log), "-o", options, "start"]
            self._run_program("pg_ctl", *arguments, inherited=lock.descriptor)

    def _await_ready(self) -> Postmaster | None:
        """The postmaster once it takes connections; None when the server has ended instead."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        orphaned_at = time.monotonic() + ORPHAN_SECONDS_MAX
        while time.monotonic() < deadline:
            postmaster = Postmaster.read(self.data)
            if not self._is_server_alive():
                return None
            if postmaster is not None and not postmaster.is_alive(self.data):
                if time.monotonic() > orphaned_at:
                    kill_processes_in(self.data)
            elif postmaster is not None and postmaster.is_ready:
                if (postmaster.socket_directory / f".s.PGSQL.{PORT}").exists():
                    return postmaster
                # Somebody cleaned the temporary directory: no one can reach this server any more.
                postmaster.send(signal.SIGINT)
            time.sleep(POLL_SECONDS)
        raise EmbeddedPostgresUnavailable(
            f"The PostgreSQL server in {self.directory} was not ready within {READY_SECONDS_MAX:.0f} seconds. "
            f"Its log ({self.log}) ends with:\n{self._log_tail()}"
        )

    def _shut_down(self) -> None:
        for number, seconds_max in STOP_STEPS:
            postmaster = Postmaster.read(self.data)
            if postmaster is not None and postmaster.is_alive(self.data):
                postmaster.send(number)
            with opened_lock(self.directory / "server.lock") as lock:
                if lock.wait_until_mine_alone(seconds_max):
                    shutil.rmtree(self._socket_directory(), ignore_errors=True)
                    return
        kill_processes_in(self.data)

    def _is_server_alive(self) -> bool:
        with opened_lock(self.directory / "server.lock") as lock:
            return lock.is_held_alone_elsewhere()

    def _socket_directory(self) -> Path:
        """A short path of this cluster alone: sockets have a path limit, and DATA_DIR may be long."""
        # The first eight bytes of this file are the cluster's own number, so that a server whose directory was
        # removed and made anew under the same name never touches its successor's socket.
        identity = (self.data / "global" / "pg_control").read_bytes()[:8]
        digest = hashlib.sha256(os.fsencode(self.data) + identity).hexdigest()[:12]
        temporary = Path(tempfile.gettempdir())
        if len(os.fsencode(temporary)) + len(digest) > SOCKET_PATH_BYTES_MAX - len("/tandem-"):
            temporary = Path("/tmp")  # noqa: S108 - the one short place every system has; the directory below is ours alone
        return temporary / f"tandem-{digest}"

    def _prepare_socket_directory(self) -> Path:
        path = self._socket_directory()
        path.mkdir(mode=0o700, exist_ok=True)
        if path.is_symlink() or path.stat().st_uid not in {os.geteuid(), self._account.user_id}:
            raise EmbeddedPostgresUnavailable(f"{path} belongs to somebody else. Remove it, or set TMPDIR.")
        path.chmod(0o700)
        self._account.own(path)
        return path

    def _run_program(self, program: str, *arguments: str, inherited: int, text: str = "") -> None:
        """Run one PostgreSQL program to its end under the server's account; what it says goes to the log."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with self.log.open("ab") as log:
            self._account.own(self.log)
            answer = subprocess.run(  # noqa: S603 - programs found by us, arguments as a list
                [*self._account.prefix, self._programs.path(program), *arguments],
                input=text.encode(),
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={**environment, "LC_ALL": "C"},
                pass_fds=(inherited,),
                start_new_session=True,
                timeout=INITIALISE_SECONDS_MAX,
                check=False,
            )
        if answer.returncode != 0:
            raise EmbeddedPostgresUnavailable(
                f"{program} failed in {self.directory}. Its log ({self.log}) ends with:\n{self._log_tail()}"
            )

    def _log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_TAIL_LINES_MAX:])


def _major_of(data: Path) -> int | None:
    try:
        return int((data / "PG_VERSION").read_text().split(".")[0])
    except FileNotFoundError:
        return None
