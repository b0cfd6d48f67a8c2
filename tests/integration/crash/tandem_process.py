"""Tandem's own processes as an operator runs them: started, killed, stopped, started again on the same data."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.servers.processes import Guard, free_port, wait_until

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 40.0
LOG_CHARACTERS_MAX = 3_000

# Settings of the surrounding shell must not reach the process, so only what every program needs is handed on.
# (PYTHONDONTWRITEBYTECODE stays out on purpose: every start would compile all it imports.)
_INHERITED = frozenset({"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH"})
_INHERITED_PREFIX = "COVERAGE"


class TandemProcess:
    """One `tandem` command that runs until it is told to end; what it says is kept in files of its directory.

    It speaks JSON, or as to people where `as_json` is false. `launcher` is a command that executes it.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        as_json: bool = True,
        launcher: Sequence[str] = (),
    ) -> None:
        words = [*arguments, "--json"] if as_json else arguments
        self._command = [*launcher, str(Path(sys.executable).with_name("tandem")), *words]
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key in _INHERITED or key.startswith(_INHERITED_PREFIX)
        }
        self._environment = {**inherited, "APP_ENV": "test", "LOG_LEVEL": "WARNING", **environment}
        # Started here so that no `.env` of the working directory is read.
        self._directory = directory
        self._answer = directory / f"{name}.json"
        self.log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None
        # A thread may still be killing it when a client that lost its answer starts it again.
        self._lock = threading.Lock()

    @property
    def process_id(self) -> int:
        """The running process."""
        if self._process is None:
            pytest.fail("the process does not run")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it and returns at once."""
        with self._lock, self._answer.open("wb") as answer, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=log,
                env=self._environment,
                cwd=self._directory,
            )
            self._guard = Guard(self._process.pid)

    def wait_ready(self) -> dict[str, Any]:
        """What it says once it works."""
        wait_until(
            self._is_ready,
            seconds_max=READY_SECONDS_MAX,
            reason="tandem was not ready",
            evidence=self.evidence,
        )
        ready: dict[str, Any] = json.loads(self._answer.read_bytes())
        return ready

    def kill(self) -> None:
        """SIGKILL to the process alone, not to the PostgreSQL it may have started; harmless when it does not run."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._end()

    def stop(self) -> int:
        """SIGTERM, and the exit code once it has ended."""
        if self._process is None:
            pytest.fail("the process does not run")
        self._process.terminate()
        return self.wait_ended()

    def wait_ended(self) -> int:
        """The exit code once it has ended by itself."""
        process = self._process
        if process is None:
            pytest.fail("the process does not run")
        wait_until(
            lambda: process.poll() is not None,
            seconds_max=STOP_SECONDS_MAX,
            reason="tandem did not end",
            evidence=self.evidence,
        )
        with self._lock:
            return self._end()

    def said(self) -> str:
        """Standard output so far."""
        return self._answer.read_text(errors="replace")

    def evidence(self) -> str:
        """What explains a failure: whether it runs, what it said, and the end of its log."""
        ended = None if self._process is None else self._process.poll()
        state = "runs" if self.is_running else "was ended" if ended is None else f"ended with {ended}"
        log = self.log.read_text(errors="replace")[-LOG_CHARACTERS_MAX:] if self.log.exists() else ""
        said = self.said() if self._answer.exists() else ""
        return f"{self.log.stem} {state} and said: {said}\n{log}"

    def _is_ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            pytest.fail(f"tandem was not ready: {self.evidence()}")
        return self.said().endswith("\n")

    def _end(self) -> int:
        process, self._process = self._process, None
        if self._guard is not None:
            self._guard.release()
            self._guard = None
        return process.wait(STOP_SECONDS_MAX) if process is not None else 0


class ServiceProcess(TandemProcess):
    """`tandem serve` on one port, also after it was killed."""

    def __init__(
        self, name: str, *, environment: Mapping[str, str], directory: Path, launcher: Sequence[str] = ()
    ) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        words = ["serve", "--port", str(port)]
        super().__init__(name, words, environment=environment, directory=directory, launcher=launcher)

    def start_ready(self) -> None:
        """Starts it and returns once its stores are open."""
        self.start()
        self.wait_ready()


class WorkerProcess(TandemProcess):
    """`tandem worker`."""

    def __init__(self, name: str, *, environment: Mapping[str, str], directory: Path) -> None:
        super().__init__(name, ["worker"], environment=environment, directory=directory)
