import json
from pathlib import Path

import pytest

from tests.unit.entrypoints.cli.conftest import ISSUE, Account, Tandem

NONE = {"created": 0, "createdInTrash": 0, "changed": 0, "trashed": 0, "unchanged": 0, "skipped": 0}


def test_an_import_reports_and_a_second_changes_nothing(tandem: Tandem, beads_file: Path) -> None:
    assert tandem("migrate", "up").code == 0
    dry = tandem("import", "--format", "beads", str(beads_file), "--dry-run", "--json")
    first = tandem("import", "--format", "beads", str(beads_file), "--json")
    second = tandem("import", "--format", "beads", str(beads_file), "--json")
    assert [ended.code for ended in (dry, first, second)] == [0, 0, 0]
    assert (dry.view["dryRun"], first.view["dryRun"]) == (True, False)
    assert dry.view["counts"] == first.view["counts"] == {**NONE, "created": 1}
    assert first.view["project"] == {**second.view["project"], "isNew": True}
    assert second.view["counts"] == {**NONE, "unchanged": 1}
    assert {
        "field": "priority",
        "count": 1,
        "examples": ["bd-1"],
        "why": "priorities 0 and 1 both become HIGH",
    } in (first.view["lost"])


def test_a_repeated_import_prints_that_nothing_changed(tandem: Tandem, beads_file: Path) -> None:
    first = tandem("import", "--format", "beads", str(beads_file), "--project", "Pond")
    second = tandem("import", "--format", "beads", str(beads_file), "--project", "Pond")
    assert "new project “Pond”" in first.out
    assert "priorities 0 and 1 both become HIGH" in first.out
    assert "Imported: 1 of 1" in first.err
    assert "Nothing changed: everything was imported before." in second.out


def test_an_owner_needs_an_account(tandem: Tandem, beads_file: Path, account: Account) -> None:
    words = ("import", "--format", "beads", str(beads_file), "--owner", "anna@example.com")
    refused = tandem(*words)
    user_id = account("anna@example.com")
    accepted = tandem(*words, "--json")
    history = tandem("sync", "history", "projects", accepted.view["project"]["id"], "--json")
    assert refused.code == 2
    assert "anna@example.com" in refused.err
    assert [row["actorId"] for row in history.view["items"]] == [user_id]


def test_every_violation_in_a_file_is_shown_with_its_line(tandem: Tandem, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("{\n" + json.dumps({**ISSUE, "status": "odd", "title": ""}) + "\n")
    ended = tandem("import", "--format", "beads", str(path))
    counted = tandem("sync", "status", "--json")
    assert ended.code == 2
    for message in ("line 1: is not JSON", "line 2, title:", "line 2, status:"):
        assert message in ended.err
    assert counted.code == 0
    assert tandem("import", "--format", "abacus", str(path)).code == 2


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_of_the_project_is_refused(tandem: Tandem, beads_file: Path, name: str) -> None:
    assert tandem("migrate", "up").code == 0
    refused = tandem("import", "--format", "beads", str(beads_file), "--project", name)
    listed = tandem("import", "--format", "beads", str(beads_file), "--project", "Pond", "--json")
    assert refused.code == 2
    assert "project" in refused.err
    assert listed.view["counts"]["created"] == 1


def test_a_skipped_line_is_printed_with_its_place_once(tandem: Tandem, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(json.dumps(ISSUE).encode() + b'\n{"\xff": 1}\n{\n')
    ended = tandem("import", "--format", "beads", str(path))
    assert ended.code == 0
    printed = [shown.strip() for shown in ended.out.splitlines() if "line" in shown]
    assert printed == ["line 2: is not UTF-8", "line 3: is not JSON"]


ACTING = "\x1b[31m\x1b[2J\u202e\x07\r\x9b2J"


def test_nothing_in_a_file_acts_on_the_terminal(tandem: Tandem, tmp_path: Path) -> None:
    path = tmp_path / "acting.jsonl"
    lines = [
        {**ISSUE, f"b{ACTING}[/red]c": 1, "title": f"x{ACTING}"},
        {**ISSUE, "id": f"a{ACTING}"},
        {**ISSUE, "id": "bd-3", "status": f"op{ACTING}"},
        {**ISSUE, "id": f"bd-4{ACTING}\nNothing changed", "_type": f"mem{ACTING}"},
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    words = ("import", "--format", "beads", str(path))
    for ended in (tandem(*words, "--dry-run"), tandem(*words), tandem(*words, "--strict")):
        assert not {*(ended.out + ended.err)} & set("\x1b\u202e\x07\r\x9b")
    assert "b\\x1b[31m\\x1b[2J\\u202e\\x07\\r\\x9b2J[/red]c" in tandem(*words).out
    exact = tandem(*words, "--json").view
    assert f"b{ACTING}[/red]c" in [loss["field"] for loss in exact["lost"]]
