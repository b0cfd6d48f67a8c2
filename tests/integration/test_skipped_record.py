"""A record that cannot be carried over and was skipped does not stop the move, and the evidence names it."""

import sqlite3
from pathlib import Path

from adapters.records.change_set import ChangeSet
from domain.migration import Phase
from tests.integration.ownership_world import serving
from tests.integration.served_move import served
from tests.unit.contracts.builders import numbered_id, put, task

DAMAGED = numbered_id(2)


async def test_a_damaged_record_that_was_skipped_is_named_by_the_verification_which_is_clean(
    tmp_path: Path, postgres_url: str
) -> None:
    directory = tmp_path / "data"
    single = {"APP_ENV": "test", "STORE": "monty", "DATA_DIR": str(directory), "MONTY_STORAGE": "sqlite"}
    async with serving(single) as container:
        for number in (1, 2, 3):
            await container.stack().store.commit(ChangeSet((put("tasks", task(number)),)))
    damage(directory)
    dual = {"STORE": "dual", "DUAL_WRITE_SOURCE": "monty", "POSTGRES_URL": postgres_url}
    async with served(directory, **dual) as running:
        assert (await running.ended("backfill"))["state"] == "DONE"
        (kept,) = (await running.client.get("/v1/move/quarantine")).json()["items"]
        assert (kept["recordId"], "$binary" in kept["raw"]) == (DAMAGED, True)
        unclean = (await running.ended("verify"))["result"]
        assert (unclean["isClean"], unclean["differenceCount"], unclean["skipped"]) == (False, 1, [])
        skipped = await running.post(f"quarantine/{kept['id']}/skip", {"reason": "Nobody can read it."})
        assert skipped.status_code == 200
        clean = (await running.ended("verify"))["result"]
        assert (clean["isClean"], clean["coverage"], clean["differenceCount"]) == (True, 1.0, 0)
        expected = {"collection": "tasks", "id": DAMAGED, "reason": "Nobody can read it."}
        assert clean["skipped"] == [expected]
        assert (await running.owner()).phase is Phase.VERIFIED
        guards = (await running.client.get("/v1/move")).json()["guards"]
        evidence = next(one for one in guards if one["code"] == "evidence")
        assert (evidence["green"], "1 records skipped" in evidence["detail"]) == (True, True)


def damage(directory: Path) -> None:
    """Removes the end of a stored document."""
    with sqlite3.connect(directory / "monty" / "tandem.sqlite") as file:
        ((document,),) = file.execute("SELECT doc FROM tasks WHERE id = ?", [DAMAGED]).fetchall()
        file.execute("UPDATE tasks SET doc = ? WHERE id = ?", [document[:-9], DAMAGED])
