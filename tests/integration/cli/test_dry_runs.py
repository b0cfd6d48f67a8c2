"""Dry runs of the steps after a loss: each looks at the stores, changes nothing, and tells what the step would."""

import shutil
from pathlib import Path

import psycopg
import pytest

from tests.integration.cli.stored_move import stored_in
from tests.servers.postgres import PostgresServer
from tests.unit.entrypoints.cli.conftest import Tandem


@pytest.fixture
def variables(postgres_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A dual write whose target is up."""
    given = {
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": "monty",
        "POSTGRES_URL": postgres_url,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return {**given, "APP_ENV": "test", "DATA_DIR": str(data_dir)}


def test_only_a_source_that_is_an_older_copy_can_be_recovered(
    variables: dict[str, str], tandem: Tandem, data_dir: Path, beads_file: Path
) -> None:
    assert tandem("demo").code == 0
    older = data_dir.with_name("older")
    shutil.copytree(data_dir / "monty", older)
    assert tandem("import", "--format", "beads", str(beads_file)).code == 0
    refused = tandem("recover", "--dry-run")
    assert (refused.code, "nothing to recover" in refused.err) == (1, True), refused
    shutil.rmtree(data_dir / "monty")
    shutil.copytree(older, data_dir / "monty")
    possible = tandem("recover", "--dry-run")
    assert (possible.code, "The source can be recovered." in possible.out) == (0, True), possible
    stored = stored_in(variables)
    assert len(stored.contents["monty"]["projects"]) < len(stored.contents["postgres"]["projects"])


def test_only_an_empty_store_can_take_the_place_of_a_target(
    variables: dict[str, str],
    tandem: Tandem,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert tandem("demo").code == 0
    words = ("move", "backfill", "--new-target", "--dry-run")
    filled = tandem(*words)
    assert (filled.code, "empty" in filled.err) == (1, True), filled
    empty = postgres_server.create_database()
    monkeypatch.setenv("POSTGRES_URL", empty)
    assert tandem(*words).code == 0
    refused = tandem("move", "backfill", "--dry-run")
    assert (refused.code, "empty" in refused.err) == (3, True), refused
    assert tables_in(empty) == 0
    postgres_server.drop_database(empty)
    missing = tandem(*words)
    assert (missing.code, "does not exist" in missing.err) == (3, True), missing


def tables_in(url: str) -> int:
    """How many tables a database has."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert row is not None
    return int(row[0])


def test_a_repair_needs_a_verification_and_a_target(variables: dict[str, str], tandem: Tandem) -> None:
    assert tandem("demo").code == 0
    refused = tandem("move", "repair", "--dry-run")
    assert (refused.code, "tandem move verify --full" in refused.err.replace("\n", " ")) == (1, True), refused
    assert tandem("move", "backfill", "--dry-run").code == 0
    assert tandem("move", "verify", "--full", "--wait").code == 0
    assert tandem("move", "repair", "--dry-run").code == 0
