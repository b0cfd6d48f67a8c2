"""A process that writes to a MontyDB directory until it is killed, and notes each acknowledged change set.

Each writer owns a task and a label, which always change together. Run as a module with the directory, the file
for the notes, and `often` or `seldom` for how often the log is written back; a note is a line `number version`.
"""

import asyncio
import os
import sys
from pathlib import Path

from adapters.monty.record_store import MontyRecordStore
from adapters.monty.tuning import Tuning
from adapters.records.record import VERSION
from tests.unit.contracts.builders import change_set, label, numbered_id, put, task

WRITERS = 8
TEXT = "every crash point is as good as any other " * 500


async def write_for_ever(store: MontyRecordStore, number: int, notes: int) -> None:
    stored = await store.fetch("tasks", [numbered_id(number)])
    version: int = stored[numbered_id(number)][VERSION] if stored else 0
    while True:
        version += 1
        one = put("tasks", task(number, version=version, description=TEXT, externalKey=f"{number}/{version}"))
        other = put("labels", label(number, version=version, name=f"Label {number} at {version}"))
        await store.commit(change_set(one, other))
        os.write(notes, f"{number} {version}\n".encode())


async def main(directory: Path, notes_path: Path, *, is_writing_back: bool) -> None:
    notes = os.open(notes_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    # Nearly every commit writes the log back to the database, so kills hit that too.
    store = MontyRecordStore(directory, tuning=Tuning(checkpoint_pages=1 if is_writing_back else 1_000))
    await store.open()
    await asyncio.gather(*(write_for_ever(store, number, notes) for number in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), is_writing_back=sys.argv[3] == "often"))
