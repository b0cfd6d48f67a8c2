"""The README's examples, run as they stand."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.integration.crash.tandem_process import TandemProcess

README = (Path(__file__).parents[2] / "README.md").read_text()
EXAMPLE_SECONDS_MAX = 60


def example_with(command: str) -> str:
    """The shell block that contains a command."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return next(block for block in blocks if command in block)


def test_the_questions_of_the_readme_are_answered_by_a_fresh_service(data_directory: Path) -> None:
    settings = {
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": "monty",
        "POSTGRES_URL": "embedded",
        "DATA_DIR": str(data_directory),
        "APP_ENV": "development",
    }
    service = TandemProcess(
        "readme", ["serve", "--demo", "--port", "0"], environment=settings, directory=data_directory
    )
    service.start()
    try:
        host = service.wait_ready()["url"].removeprefix("http://")
        script = example_with("/v1/health").replace("localhost:8000", host)
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            timeout=EXAMPLE_SECONDS_MAX,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        health, projects, metrics = _documents(ended.stdout)
        assert health["status"] == "UP"
        assert {project["name"] for project in projects["items"]} == {"Garden pond", "Neighbourhood library"}
        assert (metrics["source"], metrics["target"]) == ("monty", "postgres")
    finally:
        service.stop()


def _documents(text: str) -> list[dict[str, Any]]:
    """The JSON documents in a text, one after the other."""
    decoder, documents = json.JSONDecoder(), []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:]
    return documents
