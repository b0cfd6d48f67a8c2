"""Commands and services whose standard streams are closed or files, in processes of their own."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from entrypoints.composition.names import SETTINGS
from tests.servers.processes import free_port, wait_until

PROGRAM = Path(sys.executable).with_name("tandem")
STREAMS = (0, 1, 2)
SECONDS_MAX = 60.0
PAIRS = [pytest.param(pair, marks=pytest.mark.torture) for pair in itertools.combinations(STREAMS, 2)]
COMBINATIONS = [*((one,) for one in STREAMS), STREAMS, *PAIRS]


def _closing(closed: Sequence[int]) -> list[str]:
    """The shell's way to start the program without these streams."""
    return ["/bin/sh", "-c", f'exec "$0" "$@" {" ".join(f"{number}>&-" for number in closed)}', str(PROGRAM)]


def _environment(directory: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return {**plain, "APP_ENV": "test", "STORE": "monty", "DATA_DIR": str(directory / "data")}


def _ended(directory: Path, closed: Sequence[int], *words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*_closing(closed), *words],
        capture_output=True,
        cwd=directory,
        env=_environment(directory),
        timeout=SECONDS_MAX,
        check=False,
    )


@contextmanager
def _service(directory: Path, closed: Sequence[int]) -> Iterator["tuple[subprocess.Popen[bytes], str]"]:
    port = free_port()
    process = subprocess.Popen(
        [*_closing(closed), "serve", "--port", str(port)], cwd=directory, env=_environment(directory)
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("closed", COMBINATIONS)
def test_a_command_without_some_streams_ends_with_an_exit_code_of_its_own(
    tmp_path: Path, closed: tuple[int, ...]
) -> None:
    ended = _ended(tmp_path, closed, "config", "check")
    # Its output is wanted, so it has failed where nobody can get it.
    assert ended.returncode == (3 if 1 in closed else 0)
    if closed == (1,):
        assert ended.stderr.count(b"Do not close standard output") == 1


def test_json_that_cannot_be_printed_is_an_error_in_words(tmp_path: Path) -> None:
    ended = _ended(tmp_path, (1,), "config", "check", "--json")
    assert ended.returncode == 3
    assert b"Do not close standard output" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_closed_standard_error_leaves_the_output_alone(tmp_path: Path) -> None:
    ended = _ended(tmp_path, (0, 2), "config", "check", "--json")
    assert ended.returncode == 0
    assert b'"environment":"test"' in ended.stdout


def test_an_export_to_the_name_of_standard_output_is_only_the_export(tmp_path: Path) -> None:
    assert _ended(tmp_path, (), "demo").returncode == 0
    exported = tmp_path / "tasks.jsonl"
    with exported.open("wb") as file:
        words: list[str | Path] = [PROGRAM, "export", "--format", "beads", "/dev/stdout"]
        subprocess.run(words, stdout=file, cwd=tmp_path, env=_environment(tmp_path), check=True)
    assert exported.read_bytes() == _ended(tmp_path, (), "export", "--format", "beads").stdout
    assert len(exported.read_bytes().splitlines()) == 12


@pytest.mark.parametrize("closed", [(1,), STREAMS, pytest.param((0,), marks=pytest.mark.torture)])
def test_a_service_without_some_streams_serves_and_stops(tmp_path: Path, closed: tuple[int, ...]) -> None:
    with _service(tmp_path, closed) as (process, url):
        wait_until(lambda: _is_ready(url), seconds_max=SECONDS_MAX, reason="the service was not ready")
        process.terminate()
        assert process.wait(SECONDS_MAX) == 0
