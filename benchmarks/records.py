"""Records and change sets of a usual size: a task of about 700 bytes with its entry."""

from datetime import UTC, datetime

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import ID, VERSION, Record, json_value
from adapters.records.specs import AUDIT_LOGS, TASKS
from domain.audit import Action, AuditEntry, changes_between
from domain.entity import Stamp
from domain.task import Task

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ACTOR = "a" * 24
DESCRIPTION = "Line the basin with two layers and let them overlap by a hand. " * 8


def task_id(number: int) -> str:
    """The id of the numbered task."""
    return f"{number:024x}"


def task_record(number: int, version: int = 1) -> Record:
    """A task; each version differs in its title."""
    changes = {"title": f"Dig pond {number}, {version}", "description": DESCRIPTION}
    task = Task.create(task_id(number), Stamp(NOON, ACTOR), changes)  # type: ignore[arg-type]
    return {**TASKS.mapping.to_record(task), VERSION: version}


def entry_record(record: Record, before: Record | None, entry_number: int) -> Record:
    """The entry of one version of a task."""
    differing = changes_between(before, record)
    entry = AuditEntry(
        id=f"e{entry_number:023x}",
        collection=TASKS.collection,
        entity_id=record[ID],
        version=record[VERSION],
        action=Action.CREATED if before is None else Action.UPDATED,
        actor_id=ACTOR,
        at=NOON,
        request_id="bench",
        change_set_id=f"e{entry_number:023x}",
        changes={
            name: {side: json_value(v) for side, v in sides.items()} for name, sides in differing.items()
        },
    )
    return AUDIT_LOGS.mapping.to_record(entry)


def task_change(number: int, version: int, entry_number: int) -> ChangeSet:
    """The change set that creates a version of a task."""
    record = task_record(number, version)
    before = None if version == 1 else task_record(number, version - 1)
    entry = entry_record(record, before, entry_number)
    return ChangeSet((Put(TASKS.collection, record, version - 1),), (entry,))
