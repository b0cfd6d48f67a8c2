"""`tandem admin purge`."""

from tests.unit.entrypoints.cli.conftest import Tandem


def test_a_purge_counts_removed_records_and_a_dry_run_due_ones(tandem: Tandem) -> None:
    assert tandem("migrate", "up").code == 0
    due = tandem("admin", "purge", "--dry-run", "--json")
    removed = tandem("admin", "purge", "--json")
    plain = tandem("admin", "purge")
    assert (due.code, removed.code, plain.code) == (0, 0, 0)
    assert (due.view["isDryRun"], due.view["removed"]["tasks"]) == (True, 0)
    assert (removed.view["isDryRun"], removed.view["removed"], removed.view["isComplete"]) == (
        False,
        {},
        True,
    )
    assert plain.out.startswith("Permanently removed (in the trash since before ")
    assert plain.out.rstrip().endswith("nothing.")
