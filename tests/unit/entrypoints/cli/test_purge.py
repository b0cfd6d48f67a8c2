"""`tandem admin purge`."""

from tests.unit.entrypoints.cli.conftest import Tandem


def test_a_purge_tells_what_it_removed_and_a_dry_run_what_is_due(tandem: Tandem) -> None:
    due = tandem("admin", "purge", "--dry-run", "--json")
    removed = tandem("admin", "purge", "--json")
    said = tandem("admin", "purge")
    assert (due.code, removed.code, said.code) == (0, 0, 0)
    assert (due.view["isDryRun"], due.view["removed"]["tasks"]) == (True, 0)
    assert (removed.view["isDryRun"], removed.view["removed"], removed.view["isComplete"]) == (
        False,
        {},
        True,
    )
    assert said.out.startswith("Removed for good (in the trash since before ")
    assert said.out.rstrip().endswith("nothing.")
