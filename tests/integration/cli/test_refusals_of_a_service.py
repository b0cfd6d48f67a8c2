"""Commands that ask a running service refuse with the same reasons and the same exit code as without one."""

import json
from pathlib import Path

import pytest

from application.ports.interchange import CONTENT_BYTES_MAX
from tests.integration.cli.conftest import StartService
from tests.unit.entrypoints.cli.conftest import Ended, Tandem

STRANGE = "a\u202eb"
LINES = '{"id":"a-1"}\n{"id":"a-2","title":"x"}\nnonsense\n'
IMPORT = ("import", "--format", "beads")
REFUSED = {
    "a strict import": (*IMPORT, "many.jsonl", "--project", "S", "--strict"),
    "an import without an issue": (*IMPORT, "many.jsonl", "--project", "S"),
    "a file beyond the bound": (*IMPORT, "large.jsonl"),
    "an unknown owner": (*IMPORT, "many.jsonl", "--owner", "nobody@example.com"),
    "a name that cannot be shown": ("admin", "create", "x@example.org", "--name", STRANGE),
    "an account that exists": ("admin", "create", "demo@example.com"),
    "an administrator who is one": ("admin", "grant", "demo@example.com"),
    "an unknown account": ("admin", "grant", "nobody@example.com"),
    "a token for nobody": ("admin", "token", "nobody@example.com"),
    "a token with such a name": ("admin", "token", "demo@example.com", "--name", STRANGE),
    "an unknown record": ("sync", "history", "tasks", "a" * 24),
}


@pytest.fixture
def files(data_dir: Path) -> None:
    """The files of the commands, in the working directory."""
    del data_dir
    Path("many.jsonl").write_text(LINES)
    with Path("large.jsonl").open("wb") as large:
        large.truncate(CONTENT_BYTES_MAX + 1)


@pytest.mark.usefixtures("files")
def test_every_reason_of_a_refusal_reaches_the_command_line(
    tandem: Tandem,
    data_directory: Path,
    start_service: StartService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert tandem("demo").code == 0
    alone = outcomes(tandem)
    start_service(STORE="monty", APP_ENV="test").wait_ready()
    monkeypatch.setenv("DATA_DIR", str(data_directory))
    assert tandem("demo").code == 0

    beside = outcomes(tandem)

    for name, (plain, as_json) in beside.items():
        assert (plain, as_json) == alone[name], name
        assert plain.err.strip(), name
        assert json.loads(as_json.out)["error"]["message"], name
    strict = beside["a strict import"][0]
    assert strict.code == 2
    assert "line 1, status: is missing" in strict.err
    assert "line 3: is not JSON" in strict.err
    assert "U+202E" in beside["a name that cannot be shown"][0].err
    assert beside["a file beyond the bound"][0].code == 2
    assert "32 MiB" in beside["a file beyond the bound"][0].err


def test_a_setting_that_is_wrong_here_is_not_sent_past(
    tandem: Tandem, data_directory: Path, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_service(STORE="monty", APP_ENV="test").wait_ready()
    monkeypatch.setenv("DATA_DIR", str(data_directory))
    monkeypatch.setenv("APP_ENV", "production")  # without keys, which the service has
    assert tandem("sync", "status").code == 0
    monkeypatch.setenv("CACHE_URL", "redis://:geheim@[::1")

    ended = tandem("sync", "status")

    assert ended.code == 2
    assert "CACHE_URL cannot be read" in ended.err
    assert "geheim" not in ended.err


def outcomes(tandem: Tandem) -> dict[str, tuple[Ended, Ended]]:
    """How each command ends, for people and for scripts."""
    return {name: (tandem(*words), tandem(*words, "--json")) for name, words in REFUSED.items()}
