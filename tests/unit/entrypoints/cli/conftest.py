"""The command line in this process, over a DATA_DIR of its own."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from application.accounts.sessions import SignInByEmail
from entrypoints.cli.program import run
from entrypoints.cli.session import current_settings, opened, operator
from entrypoints.composition.names import SETTINGS

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
"""A PostgreSQL address on which nothing listens."""

ISSUE = {
    "id": "bd-1",
    "title": "Dig the pond",
    "status": "open",
    "priority": 0,
    "created_at": "2025-10-27T22:55:44Z",
}


@dataclass(frozen=True)
class Ended:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def view(self) -> dict[str, Any]:
        """The JSON document it printed."""
        document: dict[str, Any] = json.loads(self.out)
        return document


Tandem = Callable[..., Ended]


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a test installation: MontyDB in files, in an empty working directory."""
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "data"
    for name, value in {"APP_ENV": "test", "STORE": "monty", "DATA_DIR": str(directory)}.items():
        monkeypatch.setenv(name, value)
    return directory


@pytest.fixture
def tandem(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Tandem:
    """Runs one command with its arguments."""

    def run_command(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(list(arguments))
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    return run_command


Account = Callable[[str], str]


@pytest.fixture
def account(data_dir: Path) -> Account:
    """Creates an account by signing in, and returns its id."""

    async def sign_in(email: str) -> str:
        async with opened(current_settings(), creates=True) as container:
            user, _ = await container.builder().build(SignInByEmail)(operator(container), email)
        id_: str = user.id
        return id_

    return lambda email: asyncio.run(sign_in(email))


@pytest.fixture
def beads_file(tmp_path: Path) -> Path:
    """An export with one issue."""
    path = tmp_path / "issues.jsonl"
    path.write_text(json.dumps(ISSUE) + "\n")
    return path
