"""Server processes as tests handle them: start, wait, kill, freeze, thaw, and never leave one running.

A guard, a shell that waits for the end of a pipe this process holds, ends a server even when the test run is killed.
"""

import random
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

START_SECONDS_MAX = 30.0
SIGNAL_SECONDS_MAX = 10.0
POLL_SECONDS = 0.005
PORTS = range(12_000, 32_000)
"""Below those that systems choose for connections, of which one could take a port before its server starts (again)."""
PORTS_TRIED_MAX = 100


def free_port() -> int:
    """A TCP port of this machine that nothing listens on at the moment, and that no connection is given by itself."""
    for port in random.sample(PORTS, PORTS_TRIED_MAX):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail(f"none of {PORTS_TRIED_MAX} TCP ports from {PORTS.start} to {PORTS.stop - 1} is free")


def wait_until(
    condition: Callable[[], bool],
    *,
    seconds_max: float,
    reason: str,
    evidence: Callable[[], str] | None = None,
) -> None:
    """Poll a condition; fail the test with the reason, and the evidence, when it does not come true in time."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() >= deadline:
            found = "" if evidence is None else f"\n{evidence()}"
            pytest.fail(f"{reason} within {seconds_max:.0f} seconds{found}")
        time.sleep(POLL_SECONDS)


def tree(process_id: int) -> list[psutil.Process]:
    """A process and everything below it that is alive, the process itself first."""
    try:
        root = psutil.Process(process_id)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def freeze_tree(process_id: int) -> None:
    """Stop a process and its children, the parent first so that it starts no more of them; returns once all stand."""
    for process in tree(process_id):
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    # Looked up again: a child may have been born between the look and the stop.
    for process in tree(process_id):
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    wait_until(
        lambda: not any(_is_running(process) for process in tree(process_id)),
        seconds_max=SIGNAL_SECONDS_MAX,
        reason="the server did not freeze",
    )


def thaw_tree(process_id: int) -> None:
    """Let a frozen process and its children go on."""
    for process in reversed(tree(process_id)):
        with suppress(psutil.NoSuchProcess):
            process.resume()


def kill_tree(process_id: int) -> None:
    """SIGKILL a process and its children, frozen or not; returns once none is left."""
    processes = tree(process_id)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    wait_until(
        lambda: not any(_is_alive(process) for process in processes),
        seconds_max=SIGNAL_SECONDS_MAX,
        reason="the server did not die",
    )


def _is_running(process: psutil.Process) -> bool:
    """Alive and not stopped; a frozen parent cannot collect a child that has just ended."""
    with suppress(psutil.NoSuchProcess):
        return process.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
    return False


def _is_alive(process: psutil.Process) -> bool:
    """Ended processes that nobody has collected yet do not count."""
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Guard:
    """Ends a process tree's root with SIGQUIT and SIGKILL when this test process dies without calling `release`."""

    def __init__(self, process_id: int) -> None:
        script = f"read line; kill -QUIT {process_id}; sleep 1; kill -KILL {process_id}"
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        """The process has ended properly: the guard goes without touching its number again."""
        self._shell.kill()
        self._shell.wait(SIGNAL_SECONDS_MAX)
        if self._shell.stdin is not None:
            self._shell.stdin.close()


class PortServer:
    """A server program on one TCP port of 127.0.0.1, with its data and log in one directory.

    `command` is the whole command line; killing and restarting keep the port and the data.
    """

    def __init__(self, command: Sequence[str], *, port: int, log: Path) -> None:
        self.port = port
        self._command = list(command)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None
        self.restart()

    @property
    def process_id(self) -> int:
        """The running program."""
        if self._process is None:
            pytest.fail("the server is not running")
        return self._process.pid

    def restart(self) -> None:
        """Start the server again after `kill`; returns once it takes connections."""
        self.kill()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._log.parent
            )
        self._guard = Guard(self._process.pid)
        try:
            wait_until(
                self._answers, seconds_max=START_SECONDS_MAX, reason=f"{self._command[0]} did not start"
            )
        except BaseException:
            # Nobody else knows the process: the test gets no server that it could close.
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL, as a crash of the machine's memory killer would; harmless when it is not running."""
        if self._process is None:
            return
        kill_tree(self._process.pid)
        self._process.wait(SIGNAL_SECONDS_MAX)
        self._process = None
        if self._guard is not None:
            self._guard.release()
            self._guard = None

    def freeze(self) -> None:
        """Stop the server as a hanging machine does: connections open, nothing answers."""
        if self._process is not None:
            freeze_tree(self._process.pid)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        if self._process is not None:
            thaw_tree(self._process.pid)

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            pytest.fail(f"{self._command} ended at once:\n{self._log.read_text(errors='replace')[-2000:]}")
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
