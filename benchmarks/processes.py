"""Measured server processes: started on a free port, and stopped by process id."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
POLL_SECONDS = 0.005
CONFIRM_SECONDS = 0.2
MIRRORED_SECONDS_MAX = 20.0
ANSWER_SECONDS_MAX = 60.0
STAND_IN = Path(__file__).parents[1] / "tests" / "servers" / "secantus_server.py"
"""The launcher of tests, because secantusdb by itself locks itself up."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server: its port, its process, and how long it took to be ready."""

    port: int
    process: "subprocess.Popen[bytes]"
    ready_seconds: float

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mib(self) -> float:
        """The resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def ask(
        self, path: str, body: object = None, token: str | None = None, *, method: str | None = None
    ) -> dict[str, Any]:
        """The JSON answer to one request. The default `method` with a body is POST."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
            decoded: dict[str, Any] = json.load(answer)
            return decoded

    def confirmed(self, token: str) -> str:
        """The sync totals once no entry is pending, as proof that the measured writes were mirrored."""
        deadline = time.monotonic() + MIRRORED_SECONDS_MAX
        while True:
            totals = self.ask("/v1/sync/metrics", token=token)["totals"]
            if totals["pending"] == 0 or time.monotonic() > deadline:
                return f"{totals['synced']} synced, {totals['pending']} pending, {totals['failed']} failed"
            time.sleep(CONFIRM_SECONDS)


def free_port() -> int:
    """An unused port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def trivial_server() -> Iterator[ServerProcess]:
    """A server of the application that does nothing."""
    port = free_port()
    with _running([sys.executable, "-m", "benchmarks.trivial", str(port)], port, "/thing", {}) as server:
        yield server


@contextmanager
def service(settings: Mapping[str, str]) -> Iterator[ServerProcess]:
    """Tandem with these settings, in a new data directory unless one is set."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        environment = {"DATA_DIR": directory, "LOG_FORMAT": "json", "APP_ENV": "development", **settings}
        command = [str(Path(sys.executable).parent / "tandem"), "serve", "--port", str(port)]
        with _running(command, port, "/readyz", environment) as server:
            yield server


@contextmanager
def stand_in_mongo() -> Iterator[str]:
    """The URI of a secantusdb, which speaks MongoDB's wire protocol and is not MongoDB."""
    port, directory = free_port(), tempfile.mkdtemp(prefix="tandem-bench-mongo-")
    # -P, because the modules beside the program have names of packages.
    command = [sys.executable, "-P", str(STAND_IN), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--storage-path", directory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"mongodb://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _running(
    command: list[str], port: int, ready_path: str, environment: Mapping[str, str]
) -> Iterator[ServerProcess]:
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_ready(process, f"http://127.0.0.1:{port}{ready_path}")
        yield ServerProcess(port, process, time.perf_counter() - began)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(POLL_SECONDS)
    raise TimeoutError(f"{url} was not ready within {READY_SECONDS_MAX:.0f} s")
