import asyncio
import os
import resource
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.auth.keys import load_key_pair
from application.accounts.callers import Callers
from application.actor import Actor
from domain.api_token import Scope
from domain.errors import StoreUnavailable
from domain.role import BUILT_IN_ROLE_IDS
from domain.user import FIRST_USER_ID
from entrypoints.cli.session import current_settings, opened
from tests.unit.entrypoints.cli.conftest import NOWHERE, Account, Tandem


@pytest.fixture
def mirrored_nowhere(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dual write whose target is down."""
    monkeypatch.setenv("STORE", "dual")
    monkeypatch.setenv("DUAL_WRITE_SOURCE", "monty")
    monkeypatch.setenv("POSTGRES_URL", NOWHERE)


def caller(token: str) -> tuple[str, set[str]]:
    """The person for whom an API token acts, and their grants."""

    async def read() -> Actor:
        async with opened(current_settings()) as container:
            by_api_token = container.builder().build(Callers).by_api_token
            found, _ = await by_api_token(token, scope=Scope.READ, request_id="test")
            return found

    found = asyncio.run(read())
    return found.id, set(found.grants)


def test_a_schema_is_behind_until_it_is_migrated(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTO_MIGRATE", "false")
    before = tandem("migrate", "status", "--json")
    refused = tandem("sync", "status")
    up = tandem("migrate", "up", "--json")
    after = tandem("migrate", "status", "--json")
    assert (before.code, before.view["isCurrent"]) == (1, False)
    assert refused.code == 3
    assert "tandem migrate up" in refused.err
    assert (up.code, after.code, after.view["isCurrent"]) == (0, 0, True)
    tasks = next(one for one in after.view["records"] if one["collection"] == "tasks")
    assert (tasks["store"], tasks["waiting"], tasks["unfit"], tasks["isComplete"]) == ("monty", 0, 0, True)
    assert tandem("sync", "status").code == 0


def test_migrating_adds_the_built_in_roles(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTO_MIGRATE", "false")

    async def role_ids() -> set[str]:
        async with opened(current_settings()) as container:
            return set(await container.stack().store.fetch("roles", sorted(BUILT_IN_ROLE_IDS)))

    for _ in range(2):
        assert tandem("migrate", "up").code == 0
        assert asyncio.run(role_ids()) == BUILT_IN_ROLE_IDS


def test_a_document_store_has_no_migration_to_undo(tandem: Tandem) -> None:
    tandem("migrate", "up")
    ended = tandem("migrate", "down", "--yes")
    assert ended.code == 1
    assert "no migration to undo" in ended.err


def test_a_single_store_is_in_sync_by_definition(tandem: Tandem, beads_file: Path) -> None:
    tandem("import", "--format", "beads", str(beads_file))
    status = tandem("sync", "status", "--json")
    assert (status.code, status.view["source"], status.view["target"]) == (0, "monty", None)
    assert "There is no mirror: monty" in tandem("sync", "status").out


def test_entries_pending_for_an_unreachable_target_are_shown(
    mirrored_nowhere: None, tandem: Tandem, beads_file: Path
) -> None:
    imported = tandem("import", "--format", "beads", str(beads_file), "--json")
    project_id = imported.view["project"]["id"]
    status = tandem("sync", "status", "--json")
    record = tandem("sync", "status", "projects", project_id, "--json")
    assert imported.code == 0
    assert (status.code, status.view["targetReachable"]) == (3, False)
    assert status.view["totals"]["pending"] >= 2
    assert (record.code, record.view["status"], record.view["targetVersion"]) == (3, "PENDING", None)
    assert not record.view["isTargetRead"]
    history = tandem("sync", "history", "projects", project_id, "--json")
    assert (history.code, [row["inTarget"] for row in history.view["items"]]) == (3, [None])
    assert "nothing listens" in history.view["targetTrouble"]
    said = tandem("sync", "history", "projects", project_id).out
    assert ("not known" in said, "nothing listens" in " ".join(said.split())) == (True, True)
    assert tandem("sync", "retry", "projects", project_id).code == 3
    assert tandem("sync", "failures", "--json").view == {"items": []}
    assert "CANNOT BE USED" in tandem("sync", "status").out


def test_the_history_lists_every_version(tandem: Tandem, beads_file: Path) -> None:
    project_id = tandem("import", "--format", "beads", str(beads_file), "--json").view["project"]["id"]
    history = tandem("sync", "history", "projects", project_id, "--json")
    (row,) = history.view["items"]
    assert (row["version"], row["action"], row["inSource"]) == (1, "IMPORTED", True)
    assert "IMPORTED" in tandem("sync", "history", "projects", project_id).out
    assert tandem("sync", "history", "projects", "f" * 24).code == 2


def test_a_token_is_for_an_existing_account_and_acts_for_it(tandem: Tandem, account: Account) -> None:
    anna, ben = account("anna@example.com"), account("ben@example.com")
    first = tandem("admin", "token", "Anna@example.com")
    second = tandem(
        "admin", "token", "ben@example.com", "--scope", "read", "--name", "ci", "--days", "7", "--json"
    )

    assert (caller(first.out.strip()), caller(second.view["token"])) == ((anna, {"admin"}), (ben, set()))
    assert second.view["user"] == {"id": ben, "email": "ben@example.com", "name": "ben", "grants": []}
    assert (second.view["name"], second.view["scopes"]) == ("ci", ["read"])
    ends = datetime.fromisoformat(second.view["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=7) - timedelta(minutes=1) < ends <= timedelta(days=7)


def test_an_administrator_is_created_once(tandem: Tandem) -> None:
    made = tandem("admin", "create", "Ada@example.org", "--name", "Ada", "--json")
    again = tandem("admin", "create", "ada@example.org")
    other = tandem("admin", "create", "ben@example.org")

    assert (made.code, made.view["id"]) == (0, FIRST_USER_ID)
    assert (made.view["email"], made.view["name"], made.view["grants"]) == (
        "ada@example.org",
        "Ada",
        ["admin"],
    )
    assert (again.code, "The account ada@example.org exists already." in again.err) == (1, True)
    assert (other.code, "tandem admin token ben@example.org" in other.err) == (0, True)


def test_new_keys_are_a_pair_that_the_settings_take(
    tandem: Tandem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = tandem("keys", "new"), tandem("keys", "new", "--json")
    (tmp_path / ".env").write_text(first.out)
    settings = current_settings()

    assert first.code == 0
    assert [line.partition("=")[0] for line in first.out.splitlines()] == ["PRIVATE_KEY", "PUBLIC_KEY"]
    pair = load_key_pair(settings.private_key, settings.public_key)
    assert pair.private.key_size == 2048
    other = load_key_pair(second.view["privateKey"], second.view["publicKey"])
    assert (other.key_id, other.key_id != pair.key_id) == (second.view["keyId"], True)


def test_no_token_and_no_grant_creates_an_account(tandem: Tandem) -> None:
    assert tandem("migrate", "up").code == 0
    assert tandem("admin", "token", "nobody@example.com").code == 2
    assert tandem("admin", "token", "no address").code == 2
    assert tandem("admin", "grant", "nobody@example.com").code == 2


def test_administration_is_granted_once(tandem: Tandem, account: Account) -> None:
    account("anna@example.com")
    account("ben@example.com")
    granted = tandem("admin", "grant", "ben@example.com", "--json")
    again = tandem("admin", "grant", "ben@example.com")
    assert (granted.code, granted.view["grants"]) == (0, ["admin"])
    assert again.code == 1
    assert caller(tandem("admin", "token", "ben@example.com").out.strip())[1] == {"admin"}


def test_demo_data_is_added_once(tandem: Tandem) -> None:
    assert tandem("demo", "--json").view == {"email": "demo@example.com", "isNew": True}
    assert tandem("demo", "--json").view == {"email": "demo@example.com", "isNew": False}


def test_demo_data_stays_out_of_production(
    tandem: Tandem, monkeypatch: pytest.MonkeyPatch, data_dir: Path, account: Account
) -> None:
    account("anna@example.com")
    monkeypatch.setenv("PRIVATE_KEY", (data_dir / "signing-key.pem").read_text())
    monkeypatch.setenv("PUBLIC_KEY", "")
    monkeypatch.setenv("APP_ENV", "production")
    assert tandem("demo").code == 2


def test_without_a_mirror_nothing_can_be_retried(tandem: Tandem) -> None:
    tandem("demo")
    ended = tandem("sync", "retry", "--all")
    assert ended.code == 1
    assert "There is no mirror: monty is the only store" in ended.err


def test_a_single_store_that_was_emptied_is_not_taken_for_a_new_one(tandem: Tandem, data_dir: Path) -> None:
    assert tandem("demo").code == 0
    shutil.rmtree(data_dir / "monty")
    for words in (("demo",), ("migrate", "up")):
        refused = tandem(*words)
        assert refused.code == 3
        assert "is empty, although this data directory has served an installation before" in refused.err
        assert str(data_dir / "last-seen") in refused.err
    (data_dir / "last-seen").unlink()
    assert tandem("demo").code == 0


def test_doctor_passes_every_check_of_a_sound_installation(tandem: Tandem) -> None:
    tandem("demo")
    ended = tandem("doctor", "--json")
    subjects = {check["subject"] for check in ended.view["checks"]}
    assert (ended.code, ended.view["isFine"]) == (0, True)
    assert subjects >= {"settings", "disk", "keys", "monty", "schema"}
    assert "All checks passed." in tandem("doctor").out


def test_doctor_shows_every_invalid_setting(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "many")
    monkeypatch.setenv("STORE", "shoebox")
    ended = tandem("doctor", "--json")
    assert ended.code == 1
    (check,) = ended.view["checks"]
    assert [line.split()[0] for line in check["message"].splitlines()] == ["STORE", "PORT"]
    assert all(check["remedy"] for check in ended.view["checks"])


def test_doctor_shows_an_unreachable_store_with_its_remedy(
    mirrored_nowhere: None, tandem: Tandem, beads_file: Path
) -> None:
    tandem("import", "--format", "beads", str(beads_file))
    ended = tandem("doctor", "--json")
    failed = {check["subject"]: check for check in ended.view["checks"] if not check["isFine"]}
    assert ended.code == 1
    assert "nothing listens at its address" in failed["postgres"]["message"]
    assert "POSTGRES_URL" in failed["postgres"]["remedy"]
    assert "so it was not compared with monty" in failed["postgres"]["message"]


@pytest.mark.parametrize("address", ["embedded", NOWHERE])
def test_doctor_says_that_a_source_was_not_compared(
    mirrored_nowhere: None, tandem: Tandem, beads_file: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    tandem("import", "--format", "beads", str(beads_file))
    monkeypatch.setenv("POSTGRES_URL", address)
    ended = tandem("doctor", "--json")
    checks = {check["subject"]: check for check in ended.view["checks"]}
    assert ended.code == 1
    assert "It was not compared with postgres." in checks["monty"]["message"]
    assert not checks["postgres"]["isFine"]
    assert not checks["mirror"]["isFine"]


def test_doctor_shows_a_schema_that_needs_a_migration(
    tandem: Tandem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTO_MIGRATE", "false")
    assert tandem("admin", "create", "anna@example.com").code == 1
    ended = tandem("doctor", "--json")
    failed = [check for check in ended.view["checks"] if not check["isFine"]]
    assert [(check["subject"], check["remedy"]) for check in failed] == [
        ("schema", "Type: tandem migrate up")
    ]


def test_doctor_shows_a_key_that_cannot_sign(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    tandem("demo")
    monkeypatch.setenv("PRIVATE_KEY", "no key")
    ended = tandem("doctor", "--json")
    failed = [check["subject"] for check in ended.view["checks"] if not check["isFine"]]
    assert (ended.code, failed) == (1, ["settings"])
    assert tandem("admin", "token", "anna@example.com").code == 2


async def test_a_command_waits_for_a_store_for_a_bounded_time(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORE", "postgres")
    monkeypatch.setenv("POSTGRES_URL", NOWHERE)
    with pytest.raises(StoreUnavailable):
        async with opened(current_settings(), within_seconds=0.5):
            pytest.fail("nothing listens there")
    assert "cannot be used yet" in capsys.readouterr().err


def test_the_mirror_is_a_table_for_people(mirrored_nowhere: None, tandem: Tandem) -> None:
    tandem("demo")
    _, breaker, headings, *rows = tandem("sync", "status").out.splitlines()
    assert breaker.startswith("The target is not called since 20")
    tasks = next(row.split() for row in rows if row.startswith("tasks"))
    assert headings.split()[:5] == ["collection", "synced", "pending", "failed", "parked"]
    assert tasks[:3] == ["tasks", "0", "12"]
    assert len(tasks) == 7


def test_an_export_that_fails_leaves_the_last_one_as_it_is(tandem: Tandem, tmp_path: Path) -> None:
    tandem("demo")
    file = tmp_path / "tasks.jsonl"
    assert tandem("export", "--format", "beads", str(file)).code == 0
    last = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(last) // 2, hard))
    try:
        ended = tandem("export", "--format", "beads", str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (ended.code, "ulimit -f" in ended.err) == (3, True)
    assert file.read_bytes() == last
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "tasks.jsonl"]


def test_what_a_data_directory_holds_is_private_whatever_the_umask(tandem: Tandem, data_dir: Path) -> None:
    former = os.umask(0)
    try:
        assert tandem("demo").code == 0
        assert tandem("admin", "token", "demo@example.com").code == 0
    finally:
        os.umask(former)
    made = {path.name: path.stat().st_mode & 0o777 for path in (data_dir, *data_dir.rglob("*"))}
    assert {"data", "monty"} <= made.keys()
    assert {name: rights for name, rights in made.items() if rights & 0o077} == {}


def test_an_export_names_a_file_that_can_be_written_or_standard_output(
    tandem: Tandem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tandem("demo")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for place in (tmp_path / "nowhere" / "tasks.jsonl", tmp_path / ("x" * 300), Path("/proc/tasks.jsonl")):
        ended = tandem("export", "--format", "beads", str(place))
        assert (ended.code, "Name another FILE" in ended.err) == (2, True)
    ended = tandem("export", "--format", "beads", "-")
    assert (ended.code, ended.out) == (0, tandem("export", "--format", "beads").out)
    assert ended.out.startswith("{")
    assert not list((tmp_path / "here").iterdir())
