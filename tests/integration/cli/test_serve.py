"""The real service in a process of its own, and the commands beside it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from entrypoints.cli.running_service import SERVICE_FILE, SERVICE_LOCK
from entrypoints.composition.installation import INSTALLATION_FILE
from entrypoints.composition.names import SETTINGS
from tests.servers.report import times_slower
from tests.unit.entrypoints.cli.conftest import ISSUE, NOWHERE, Tandem

SECONDS_MAX = 60.0
PROGRAM = "from entrypoints.cli.main import main; main()"
MIRRORED = {"STORE": "dual", "DUAL_WRITE_SOURCE": "monty", "POSTGRES_URL": NOWHERE}
SOURCES = Path(__file__).parents[3] / "src"


class Process:
    """One `tandem` process; what it says goes to files, so that nobody has to read along."""

    def __init__(self, arguments: Sequence[str], directory: Path, variables: Mapping[str, str]) -> None:
        self.directory = directory
        self._out = directory / f"{arguments[0]}.out"
        self._err = directory / f"{arguments[0]}.err"
        plain = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        environment = {**plain, "APP_ENV": "test", "PYTHONPATH": str(SOURCES), **variables}
        command = [sys.executable, "-c", PROGRAM, *arguments]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, cwd=directory, env=environment)

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def url(self) -> str:
        """Where the service answers, once it says that it is ready."""
        self.wait_for(lambda: self.out.startswith("{") and "\n" in self.out, "word that it is ready")
        return str(json.loads(self.out.splitlines()[0])["url"])

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Polls until the condition holds; fails where the process ends before, or after SECONDS_MAX."""
        deadline = time.monotonic() + SECONDS_MAX
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"no {what} (exit code {self.process.poll()}): {self.out}{self.err}")
            time.sleep(0.05)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal; answers the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS_MAX)

    def kill(self) -> None:
        """Ends what is still there. Harmless when it ended already."""
        if self.process.poll() is None:
            self.end(signal.SIGKILL)


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes of this test, on a DATA_DIR of their own, and sees to their end."""
    started: list[Process] = []

    def start_process(*arguments: str, **variables: str) -> Process:
        own = {"STORE": "monty", "DATA_DIR": str(tmp_path / "data"), **variables}
        started.append(Process(arguments, tmp_path, own))
        return started[-1]

    yield start_process
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service with demo data, mirroring MontyDB to a PostgreSQL that is down. Do not harm it: tests share it."""
    directory = tmp_path_factory.mktemp("service")
    variables = {**MIRRORED, "DATA_DIR": str(directory / "data")}
    process = Process(("serve", "--demo", "--port", "0", "--json"), directory, variables)
    assert process.url
    yield process
    process.kill()


@pytest.fixture
def beside(service: Process, tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> Tandem:
    """Commands with the settings of the running service."""
    for name, value in MIRRORED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_DIR", str(service.directory / "data"))
    return tandem


def status_of(url: str, path: str) -> int:
    """The status of a GET."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_migrate_up_beside_a_service_names_the_store_that_cannot_be_used(beside: Tandem) -> None:
    ended = beside("migrate", "up")
    assert ended.code == 3
    assert "postgres: " in ended.err
    assert "nothing listens" in ended.err
    assert "kill" not in ended.err


def test_commands_ask_the_service_that_holds_the_store(service: Process, beside: Tandem) -> None:
    status = beside("sync", "status", "--json")
    token = beside("admin", "token", "demo@example.com", "--json")
    user_id = token.view["user"]["id"]
    history = beside("sync", "history", "users", user_id, "--json")
    record = beside("sync", "status", "users", user_id, "--url", service.url, "--json")
    assert (status.code, status.view["source"], status.view["target"]) == (3, "monty", "postgres")
    assert token.view["user"]["grants"] == ["admin"]
    assert [(row["version"], row["inTarget"]) for row in history.view["items"]] == [(1, None)]
    assert (record.code, record.view["sourceVersion"], record.view["targetVersion"]) == (3, 1, None)
    assert beside("sync", "failures", "--json").view == {"items": []}
    assert beside("sync", "retry", "--all", "--json").view == {"requeued": 0}
    assert beside("sync", "history", "users", "f" * 24).code == 2


@pytest.mark.parametrize(
    "command",
    [
        "preflight",
        "verify --full",
        "repair --wait",
        "backfill --wait",
        "backfill --dry-run",
        "repair --dry-run",
    ],
)
def test_the_service_refuses_a_step_whose_target_does_not_answer_at_once(
    beside: Tandem, command: str
) -> None:
    began = time.monotonic()
    ended = beside("move", *command.split())
    assert (ended.code, "nothing listens" in ended.err) == (3, True), ended
    assert time.monotonic() - began < 5 * times_slower()


def test_the_service_looks_at_the_target_before_it_says_that_a_recovery_is_possible(beside: Tandem) -> None:
    for words in (("--dry-run",), ("--wait",)):
        ended = beside("recover", *words)
        assert (ended.code, "nothing listens" in ended.err) == (3, True), ended


def test_the_doctor_asks_the_service_and_names_what_is_down(service: Process, beside: Tandem) -> None:
    ended = beside("doctor", "--json")
    checks = {check["subject"]: check for check in ended.view["checks"]}
    assert ended.code == 1
    assert service.url in checks["service"]["message"]
    assert not checks["target"]["isFine"]
    assert "nothing listens at its address" in checks["target"]["message"]


@pytest.fixture
def without_settings(service: Process, tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> Tandem:
    """Commands in another terminal, which know the data directory and nothing else."""
    for name in ("APP_ENV", "STORE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATA_DIR", str(service.directory / "data"))
    return tandem


def test_commands_need_no_setting_beside_the_service(
    without_settings: Tandem, beads_file: Path, tmp_path: Path
) -> None:
    command = without_settings
    imported = command("import", "--format", "beads", str(beads_file), "--project", "Bees", "--json")
    assert (imported.code, imported.view["counts"]["created"]) == (0, 1)
    owned = command(
        "import", "--format", "beads", str(beads_file), "--owner", "demo@example.com", "--dry-run"
    )
    assert (owned.code, "Dry run" in owned.out) == (0, True)
    exported = command("export", "--format", "beads", str(tmp_path / "out.jsonl"), "--json")
    assert (exported.code, exported.view["tasks"]) == (
        0,
        len((tmp_path / "out.jsonl").read_text().splitlines()),
    )
    assert command("admin", "token", "demo@example.com").out.startswith("tnd_")
    assert command("admin", "grant", "demo@example.com").code == 1
    assert command("admin", "grant", "nobody@example.com").code == 2
    assert command("admin", "purge", "--dry-run").code == 0
    assert command("demo", "--json").view == {"email": "demo@example.com", "isNew": False}
    assert command("sync", "status", "--json").view["target"] == "postgres"
    assert command("migrate", "status", "--json").view["stores"][0]["isCurrent"]


def test_the_files_of_the_service_are_for_its_owner_alone(service: Process) -> None:
    data = service.directory / "data"
    for name in (SERVICE_FILE, SERVICE_LOCK, INSTALLATION_FILE):
        assert (data / name).stat().st_mode & 0o777 == 0o600
    assert "nobody" in (data / INSTALLATION_FILE).read_text()


def test_only_commands_on_the_machine_may_use_what_is_for_them(service: Process, beside: Tandem) -> None:
    token = beside("admin", "token", "demo@example.com").out.strip()
    body = {"userId": "f" * 24}
    for headers, status in (({}, 401), ({"Authorization": f"Bearer {token}"}, 403)):
        answer = httpx.post(
            f"{service.url}/operator/access-token", json=body, headers=headers, trust_env=False
        )
        assert answer.status_code == status


def test_commands_need_no_setting_after_the_service_has_stopped(
    start: Start, tandem: Tandem, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start("serve", "--demo", "--port", "0", "--json", **MIRRORED)
    assert process.url
    assert process.end() == 0
    for name in ("APP_ENV", "STORE"):
        monkeypatch.delenv(name)
    before = contents_of(data_dir)
    status = tandem("sync", "status", "--json")
    assert (status.code, status.view["source"], status.view["target"]) == (3, "monty", "postgres")
    assert "nothing listens" in status.view["breaker"]["reason"]
    doctor = tandem("doctor", "--json")
    assert doctor.code == 1
    assert {check["subject"] for check in doctor.view["checks"] if not check["isFine"]} >= {
        "postgres",
        "mirror",
    }
    assert all(check["isFine"] or "ype: tandem" in check["remedy"] for check in doctor.view["checks"])
    assert tandem("config", "check", "--json").view["stores"] == "dual"
    assert contents_of(data_dir) == before
    assert tandem("admin", "token", "demo@example.com").code == 0


def contents_of(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a directory with its time of change and its bytes."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_a_service_that_is_frozen_is_named_within_five_seconds(
    start: Start, tandem: Tandem, data_dir: Path
) -> None:
    process = start("serve", "--port", "0", "--json")
    assert process.url
    process.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        ended = tandem("doctor", "--json")
        status = tandem("sync", "status")
        assert time.monotonic() - began < 5
    finally:
        process.process.send_signal(signal.SIGCONT)
    (check,) = ended.view["checks"]
    assert (ended.code, status.code, check["subject"]) == (3, 3, "service")
    assert f"kill -CONT {process.process.pid}" in check["message"]
    assert len(status.err.splitlines()) == 1


def test_a_second_service_on_the_same_directory_is_refused(service: Process, beside: Tandem) -> None:
    ended = beside("serve", "--port", "0")
    noted = json.loads((service.directory / "data" / SERVICE_FILE).read_text())
    assert ended.code == 3
    assert f"in use by process {service.process.pid}" in ended.err
    assert (noted["url"], noted["pid"]) == (service.url, service.process.pid)


def test_a_worker_beside_a_service_on_montydb_is_not_needed(service: Process, beside: Tandem) -> None:
    ended = beside("worker")
    assert ended.code == 3
    assert "No worker is needed" in ended.err


def test_commands_agree_about_the_settings_of_the_service(
    service: Process, beside: Tandem, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = beside("config", "check", "--json")
    monkeypatch.setenv("DB_NAME", "another")
    other = beside("config", "check", "--json")
    doctor = beside("doctor", "--json")

    at = f"The service at {service.url} (process {service.process.pid}) runs with"
    assert (check.code, check.view["ownership"]) == (0, f"{at} these settings, and monty owns the writes.")
    assert other.view["ownership"].startswith(f"{at} other settings.")
    for text in (other.view["ownership"], doctor.out):
        assert f"Process {service.process.pid} uses the MontyDB directory" in text
        assert f"kill {service.process.pid}" in text
        assert "DATA_DIR" not in text


def test_commands_find_the_service_again_after_its_files_were_removed(
    service: Process, beside: Tandem
) -> None:
    paths = [service.directory / "data" / name for name in (SERVICE_FILE, SERVICE_LOCK, INSTALLATION_FILE)]
    for path in paths:
        path.unlink()
    for path in paths:
        service.wait_for(path.exists, f"{path.name} again")
    status = beside("sync", "status", "--json")
    assert (status.code, status.view["source"]) == (3, "monty")


def test_a_service_that_ended_leaves_the_store_to_commands(
    start: Start, tandem: Tandem, data_dir: Path
) -> None:
    process = start("serve", "--port", "0", "--json")
    through_service = tandem("sync", "status", "--json", "--url", process.url)
    assert (data_dir / SERVICE_FILE).exists()
    assert process.end() == 0
    assert not (data_dir / SERVICE_FILE).exists()
    assert tandem("sync", "status", "--json").view == through_service.view


def test_the_note_of_a_service_that_was_killed_is_not_believed(
    service: Process, tandem: Tandem, data_dir: Path
) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait(SECONDS_MAX)
    data_dir.mkdir()
    (data_dir / SERVICE_FILE).write_text(json.dumps({"url": service.url, "pid": dead.pid}))
    status = tandem("sync", "status", "--json")
    assert (status.code, "no MontyDB store" in status.view["error"]["message"]) == (3, True)


def test_a_port_that_is_taken_is_wrong_use(tandem: Tandem) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = tandem("serve", "--port", str(taken.getsockname()[1]))
    assert ended.code == 2
    assert "is in use" in ended.err


def test_a_service_whose_store_is_down_listens_says_so_and_ends_cleanly(start: Start, tandem: Tandem) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start("serve", "--port", str(port), STORE="postgres", POSTGRES_URL=NOWHERE)
    url = f"http://127.0.0.1:{port}"
    process.wait_for(lambda: "cannot be used yet" in process.err, "word about the store")
    assert status_of(url, "/livez") == 200
    assert status_of(url, "/readyz") == 503
    assert tandem("sync", "status", "--url", url).code == 3
    assert process.end(signal.SIGINT) == 0
    assert "Traceback" not in process.err


def test_an_import_killed_half_way_ends_like_one_that_was_not(
    start: Start, tandem: Tandem, tmp_path: Path
) -> None:
    path = tmp_path / "many.jsonl"
    count = 2_000
    path.write_text("\n".join(json.dumps({**ISSUE, "id": f"bd-{number}"}) for number in range(count)))
    process = start("import", "--format", "beads", str(path))
    process.wait_for(lambda: "Imported: 200 of" in process.err, "progress")
    assert process.end(signal.SIGKILL) == -signal.SIGKILL
    again = tandem("import", "--format", "beads", str(path), "--json")
    once_more = tandem("import", "--format", "beads", str(path), "--json")
    counts = again.view["counts"]
    assert again.code == 0
    assert counts["unchanged"] >= 200
    assert counts["created"] > 0
    assert counts["created"] + counts["unchanged"] == count
    assert once_more.view["counts"]["unchanged"] == count


def test_a_service_whose_data_directory_is_removed_stops_and_says_why(start: Start) -> None:
    service = start("serve", "--port", "0", "--json")
    assert service.url
    shutil.rmtree(service.directory / "data")
    assert service.process.wait(SECONDS_MAX) == 3
    assert "was deleted, replaced or emptied while in use" in service.err
    assert "Traceback" not in service.err
