"""Ctrl-C at every moment of a process, once and several times."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from entrypoints.composition.names import SETTINGS
from tests.servers.processes import free_port, wait_until
from tests.unit.entrypoints.cli.conftest import NOWHERE

PROGRAM = Path(sys.executable).with_name("tandem")
SECONDS_MAX = 60.0
INTERRUPTED = 130
BETWEEN_SECONDS = 0.05
TORTURE = pytest.mark.torture
TIMES = [1, pytest.param(2, marks=TORTURE), 3]
LOADING = (sys.executable, "-v", PROGRAM)
"""Says on standard error what it has imported."""


@pytest.fixture(autouse=True)
def _hears_interrupts() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and so do the processes that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def _process(
    directory: Path, command: tuple[str | Path, ...], **variables: str
) -> Iterator["subprocess.Popen[str]"]:
    plain = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    settings = {"APP_ENV": "test", "STORE": "monty", "DATA_DIR": str(directory / "data"), **variables}
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
        env={**plain, **settings},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_for_import(process: "subprocess.Popen[str]", module: str) -> None:
    assert process.stderr is not None
    assert any(line.startswith(f"import '{module}'") for line in process.stderr)


def _interrupt(process: "subprocess.Popen[str]", times: int) -> tuple[int, str]:
    """The exit code and the rest of standard error."""
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(BETWEEN_SECONDS)
    _, said = process.communicate(timeout=SECONDS_MAX)
    return process.returncode, said


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize(
    "module", ["click", pytest.param("domain.permissions", marks=TORTURE), "entrypoints.composition.settings"]
)
def test_a_command_that_is_loading_leaves_at_once(tmp_path: Path, module: str, times: int) -> None:
    with _process(tmp_path, (*LOADING, "config", "check")) as process:
        _wait_for_import(process, module)
        code, said = _interrupt(process, times)
    assert code == INTERRUPTED
    assert "Traceback" not in said


def test_a_command_that_leaves_at_once_brings_the_cursor_of_the_terminal_back(tmp_path: Path) -> None:
    terminal, own_end = os.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    process = subprocess.Popen([*LOADING, "config", "check"], stderr=own_end, cwd=tmp_path, env=plain)
    os.close(own_end)
    shown = b""
    try:
        with suppress(OSError):  # the terminal ends with its last process
            while part := os.read(terminal, 65_536):
                shown += part
                if b"import 'click'" in shown:
                    process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS_MAX) == INTERRUPTED
        assert shown.endswith(b"\x1b[?25h")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


@pytest.mark.parametrize("times", TIMES)
def test_a_command_that_waits_for_a_store_leaves(tmp_path: Path, times: int) -> None:
    variables = {"STORE": "postgres", "POSTGRES_URL": NOWHERE}
    with _process(tmp_path, (*LOADING, "demo"), **variables) as process:
        _wait_for_import(process, "psycopg_pool")
        code, said = _interrupt(process, times)
    assert code == INTERRUPTED
    assert "Traceback" not in said


@pytest.mark.parametrize("times", TIMES)
def test_a_service_that_runs_stops_in_order(tmp_path: Path, times: int) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _process(tmp_path, (PROGRAM, "serve", "--port", str(port))) as process, httpx.Client() as client:
        wait_until(
            lambda: _is_ready(client, url), seconds_max=SECONDS_MAX, reason="the service was not ready"
        )
        code, said = _interrupt(process, times)
    assert code == 0
    assert "Traceback" not in said
    assert "Application shutdown complete" in said


def _is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_hardly_anything_is_loaded_before_ctrl_c_is_answered() -> None:
    program = "import sys; import entrypoints.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) & {"asyncio", "click", "inspect", "socket", "typing", "domain"} == set()


@pytest.mark.parametrize("times", [1, 2])
def test_a_command_that_ends_keeps_its_exit_code(tmp_path: Path, times: int) -> None:
    with _process(tmp_path, (*LOADING, "config", "check")) as process:
        assert process.stderr is not None
        # Only the interpreter ends; it says what it takes apart.
        assert any(line.startswith("# clear sys.") for line in process.stderr)
        code, said = _interrupt(process, times)
    assert code == 0
    assert "Traceback" not in said
