"""The import contracts reject what they are there to reject: forbidden imports, planted in a copy of the sources."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED = {
    "Imports point inward": ("domain/task.py", "import application.paging"),
    "The core imports no package": ("application/paging.py", "import msgspec"),
    "Adapters are siblings above records": ("adapters/mongo/client.py", "import adapters.postgres.tables"),
    "Only adapters.mongo knows pymongo": ("adapters/records/record.py", "import pymongo"),
    "Only adapters.postgres knows SQLAlchemy, psycopg and Alembic": (
        "adapters/repositories/unit_of_work.py",
        "import psycopg",
    ),
    "Handlers, commands and jobs never see an adapter": (
        "entrypoints/http/app.py",
        "import adapters.records.record",
    ),
    "Resource packages are independent; imports, exports and the demonstration stand above them": (
        "application/projects/commands.py",
        "import application.teams.roles",
    ),
}
"""For each contract, a file and an import that breaks it."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the checker says about a copy in which every contract above is broken once."""
    copy = tmp_path_factory.mktemp("planted")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "assets"))
    for file, statement in PLANTED.values():
        with (copy / "src" / file).open("a") as source:
            source.write(f"\n{statement}\n")
    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", ROOT / "importlinter.ini"],
        cwd=copy,
        env={"PYTHONPATH": str(copy / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert checked.returncode == 1, checked.stderr
    return checked.stdout


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_import_is_rejected(report: str, contract: str) -> None:
    assert f"{contract} BROKEN" in report
