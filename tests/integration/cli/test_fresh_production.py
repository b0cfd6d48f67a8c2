"""How people get into a new production installation without an identity provider: the steps of the page, as printed."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.directories import open_directory
from tests.servers.processes import Guard, free_port, wait_until

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "sign-in.md").read_text()
SECTION = PAGE.partition("## A new production installation without a provider")[2].partition("\n## ")[0]
STEPS, QUESTIONS = (
    block.partition("```")[0].replace(".venv/bin/", "") for block in SECTION.split("```sh\n")[1:3]
)
SECONDS_MAX = 60


class Installation:
    """A directory with nothing in it, and a shell whose environment names no setting."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        programs = str(Path(sys.executable).parent)
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(directory),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }

    def run(self, script: str) -> str:
        """What a script prints; it must succeed."""
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._here(script)],
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
            cwd=self.directory,
            env=self._environment,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Starts a command and returns once the service answers."""
        with (self.directory / "serve.log").open("ab") as log:
            process = subprocess.Popen(
                command.split(), cwd=self.directory, env=self._environment, stdout=log, stderr=log
            )
        wait_until(self._is_ready, seconds_max=SECONDS_MAX, reason="the service was not ready")
        return process

    def ask(self, path: str, token: str | None = None, body: object = None) -> tuple[int, Any]:
        """Status and JSON of one request."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=content, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def _here(self, script: str) -> str:
        return script.replace("PORT=8000", f"PORT={self.port}").replace(
            "localhost:8000", f"127.0.0.1:{self.port}"
        )

    def _is_ready(self) -> bool:
        try:
            return self.ask("/readyz")[0] == 200
        except (OSError, ValueError):
            return False


@pytest.fixture
def installation() -> Iterator[Installation]:
    with open_directory() as directory:
        yield Installation(directory)


def test_people_get_into_a_fresh_installation_as_the_page_says(installation: Installation) -> None:
    *steps, last = STEPS.strip().splitlines()
    assert last == "tandem serve"
    installation.run("\n".join(steps))
    token = (installation.directory / "token").read_text().strip()
    process = installation.start(last)
    guard = Guard(process.pid)
    try:
        me, ben = _documents(installation.run(QUESTIONS))
        assert (me["email"], me["name"], me["grants"]) == ("ada@example.org", "Ada", ["admin"])
        assert (ben["email"], ben["grants"]) == ("ben@example.org", [])
        assert installation.ask("/v1/sync/metrics", token)[0] == 200
        assert installation.ask("/v1/auth/methods")[1] == {"google": False, "dev": False, "token": True}
        assert installation.ask("/v1/auth/dev/token", body={"email": "eve@example.org"})[0] == 404

        # The commands work beside the running service, too.
        bens = installation.run("tandem admin token ben@example.org").strip()
        assert installation.ask("/v1/users/me", bens)[1]["id"] == ben["id"]
        assert installation.ask("/v1/sync/metrics", bens)[0] == 403
        installation.run("tandem admin grant ben@example.org && tandem admin create cleo@example.org")
        assert installation.ask("/v1/sync/metrics", bens)[0] == 200
        cleo = installation.run("tandem admin token cleo@example.org --scope read").strip()
        assert installation.ask("/v1/users/me", cleo)[1]["grants"] == ["admin"]
        assert installation.ask("/v1/sync/metrics", cleo)[0] == 403
        log = (installation.directory / "serve.log").read_text()
        assert not [each for each in (token, bens, cleo) if each in log]
    finally:
        process.terminate()
        process.wait(SECONDS_MAX)
        guard.release()


def _documents(text: str) -> list[dict[str, Any]]:
    """The JSON documents in a text, one after the other."""
    decoder, documents = json.JSONDecoder(), []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:]
    return documents
