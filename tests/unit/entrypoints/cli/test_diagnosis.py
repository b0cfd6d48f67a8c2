"""Commands that diagnose: they change nothing, need no setting repeated, and never show a traceback."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.entrypoints.cli.conftest import NOWHERE, Tandem

SOURCES = Path(__file__).parents[4] / "src"
READING = [
    ("doctor",),
    ("sync", "status"),
    ("sync", "failures"),
    ("migrate", "status"),
    ("config", "check"),
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_where_nothing_is_nothing_is_created(tandem: Tandem, tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = tandem(*words)
    assert list(tmp_path.iterdir()) == []
    if words != ("config", "check"):
        assert ended.code in (1, 3)
        assert "tandem serve" in ended.out + ended.err or "tandem migrate up" in ended.out + ended.err


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_reading_leaves_every_byte_as_it_is(tandem: Tandem, data_dir: Path, words: tuple[str, ...]) -> None:
    tandem("demo")
    before = contents_of(data_dir)
    assert tandem(*words).code == 0
    assert contents_of(data_dir) == before


def contents_of(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(directory.rglob("*"))
    }


@pytest.mark.parametrize("words", READING[:4], ids=" ".join)
def test_an_unreachable_server_takes_three_seconds_and_one_sentence(
    tandem: Tandem, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("STORE", "postgres")
    monkeypatch.setenv("POSTGRES_URL", NOWHERE)
    began = time.monotonic()
    ended = tandem(*words)
    assert time.monotonic() - began < 3
    assert ended.code == 3
    assert "nothing listens at its address" in ended.out + ended.err
    if words != ("doctor",):
        assert len(ended.err.splitlines()) == 1


def test_a_dead_cache_is_asked_and_not_guessed(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    tandem("demo")
    monkeypatch.setenv("CACHE_URL", "redis://:secret@127.0.0.1:1/0")
    ended = tandem("doctor", "--json")
    failed = {check["subject"]: check for check in ended.view["checks"] if not check["isFine"]}
    assert (ended.code, set(failed)) == (1, {"cache"})
    assert "cannot be reached" in failed["cache"]["message"]
    assert "secret" not in ended.out


@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("demo",), ("admin", "token", "a@example.com")])
def test_a_data_directory_that_is_a_file_is_one_sentence(
    tandem: Tandem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("here")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file"))
    ended = tandem(*words)
    assert ended.code == 3
    assert "Traceback" not in ended.err
    assert "DATA_DIR" in ended.err or "another directory" in ended.err


def test_an_env_file_that_is_not_utf8_is_a_setting_to_correct(tandem: Tandem, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"DB_NAME=caf\xe9\n")
    for words in (("config", "check"), ("doctor",), ("sync", "status"), ("serve",)):
        ended = tandem(*words)
        assert ended.code in (1, 2)
        assert "is not UTF-8 text" in ended.out + ended.err
        assert "Traceback" not in ended.err


def test_nobody_who_stops_reading_sees_a_traceback(tandem: Tandem, data_dir: Path) -> None:
    tandem("demo")
    program = "from entrypoints.cli.main import main; main()"
    script = f'"{sys.executable}" -c "{program}" export --format beads | head -c 1'
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCES), "DATA_DIR": str(data_dir)}
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert ended.stderr == ""
