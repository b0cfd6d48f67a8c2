"""The guide about adopting a database, run as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.cli.conftest import StartService
from tests.servers.mongo import MongoDatabase
from tools.todo_database import sample

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "how-to" / "adopt-a-mongodb-database.md"
SERVE = ".venv/bin/tandem serve"
COMMANDS_SECONDS_MAX = 120.0


def commands_of_the_guide() -> list[str]:
    """The shell blocks, in their order."""
    return re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture
def operator(mongo_database: MongoDatabase, data_directory: Path) -> dict[str, str]:
    """The settings that the first block of the guide exports, for this server."""
    return {
        "APP_ENV": "test",
        "STORE": "mongo",
        "MONGODB_URI": mongo_database.uri,
        "DB_NAME": mongo_database.name,
        "DATA_DIR": str(data_directory / "data"),
    }


def test_the_guide_leads_to_a_service_with_the_data(
    operator: dict[str, str], start_service: StartService, data_directory: Path
) -> None:
    *before, start = commands_of_the_guide()
    exports, script = before[0], "".join(before[1:])
    assert start.strip() == SERVE
    assert all(f"{name}=" in exports for name in ("STORE", "MONGODB_URI", "DB_NAME"))
    for program in ("python", "tandem"):
        script = script.replace(f".venv/bin/{program}", str(Path(sys.executable).with_name(program)))

    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=COMMANDS_SECONDS_MAX,
        check=False,
        cwd=data_directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **operator},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Nothing was changed." in ended.stdout
    assert "ada.berg@example.com is now an administrator" in ended.stdout

    url = start_service(**operator).wait_ready()["url"]
    with httpx.Client(base_url=url, trust_env=False) as client:
        answer = client.post("/v1/auth/dev/token", json={"email": "ada.berg@example.com"}).json()
        headers = {"Authorization": f"Bearer {answer['accessToken']}"}
        found = client.get("/v1/tasks?limit=200&count=exact", headers=headers).json()
    live = [one for one in sample()["tasks"] if not one["isDeleted"]]
    assert answer["user"]["grants"] == ["admin"]
    assert found["total"] == len(live) + 2
