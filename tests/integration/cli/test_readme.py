"""The examples of the documentation, run as they stand."""

import html
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.crash.tandem_process import TandemProcess
from tests.servers.directories import open_directory

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
TEAMWORK = (ROOT / "docs" / "how-to" / "work-in-a-team.md").read_text()
EXAMPLE_SECONDS_MAX = 60


def example_with(text: str, command: str) -> str:
    """The shell block that contains a command."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return next(block for block in blocks if command in block)


@pytest.fixture(scope="module")
def service() -> Iterator[TandemProcess]:
    """What `make run` starts, on another port."""
    with open_directory() as directory:
        settings = {
            "STORE": "dual",
            "DUAL_WRITE_SOURCE": "monty",
            "POSTGRES_URL": "embedded",
            "DATA_DIR": str(directory),
            "APP_ENV": "development",
        }
        started = TandemProcess(
            "examples", ["serve", "--demo", "--port", "0"], environment=settings, directory=directory
        )
        started.start()
        yield started
        started.stop()


def documents_of(service: TandemProcess, script: str) -> list[dict[str, Any]]:
    """What an example prints."""
    host = service.wait_ready()["url"].removeprefix("http://")
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("localhost:8000", host)],
        capture_output=True,
        text=True,
        timeout=EXAMPLE_SECONDS_MAX,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return _documents(ended.stdout)


def test_the_questions_of_the_readme_are_answered_by_a_fresh_service(service: TandemProcess) -> None:
    health, projects, metrics = documents_of(service, example_with(README, "/v1/health"))
    assert health["status"] == "UP"
    assert {project["name"] for project in projects["items"]} == {"Garden pond", "Neighbourhood library"}
    assert (metrics["source"], metrics["target"]) == ("monty", "postgres")


def test_two_people_work_in_a_team_as_the_guide_says(service: TandemProcess) -> None:
    (task,) = documents_of(service, example_with(TEAMWORK, "/v1/teams"))
    assert task["title"] == "Dig the pond"
    assert (task["assigneeType"], task["inWatchlist"]) == ("TEAM", True)
    assert task["executorId"] is not None


def test_the_first_steps_of_the_home_page_show_the_demo_data(service: TandemProcess) -> None:
    page = httpx.get(service.wait_ready()["url"], trust_env=False).text
    script = html.unescape(re.findall(r"<pre><code>(.*?)</code></pre>", page, re.DOTALL)[0])
    (tasks,) = documents_of(service, script)
    assert "Dig the basin" in {task["title"] for task in tasks["items"]}


def _documents(text: str) -> list[dict[str, Any]]:
    """The JSON documents in a text, one after the other."""
    decoder, documents = json.JSONDecoder(), []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:]
    return documents
