"""A task: what somebody intends to do."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Self, TypedDict

from domain.entity import Entity, Stamp, first_stamps
from domain.errors import Fault, RuleBroken
from domain.storable import require_text

TITLE_LENGTH_MAX = 500
DESCRIPTION_LENGTH_MAX = 50_000
REASON_LENGTH_MAX = 1_000
EXTERNAL_KEY_LENGTH_MAX = 300
LABELS_MAX = 50


class TaskStatus(StrEnum):
    """Where a task stands."""

    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    BLOCKED = "BLOCKED"
    DONE = "DONE"


class Priority(IntEnum):
    """Stored as its rank, so that every store sorts it alike; shown by name."""

    HIGH = 1
    MEDIUM = 2
    LOW = 3


class TaskChanges(TypedDict, total=False):
    """What may change; absent means unchanged, None clears."""

    title: str
    description: str | None
    status: TaskStatus
    priority: Priority
    project_id: str | None
    parent_id: str | None
    label_ids: tuple[str, ...]
    started_at: datetime | None
    due_at: datetime | None
    is_acknowledged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a task was in the tracker it comes from. `deleted_at` is set where that tracker had it in its trash."""

    external_key: str
    created_at: datetime
    deleted_at: datetime | None = None
    deleted_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Entity):
    """`external_key` names the task in the tracker it came from; `deleted_reason` says why it is in the trash."""

    title: str
    description: str | None = None
    status: TaskStatus = TaskStatus.TODO
    priority: Priority = Priority.MEDIUM
    project_id: str | None = None
    parent_id: str | None = None
    label_ids: tuple[str, ...] = ()
    started_at: datetime | None = None
    due_at: datetime | None = None
    is_acknowledged: bool = False
    external_key: str | None = None
    deleted_reason: str | None = None

    @classmethod
    def create(
        cls,
        id: str,
        stamp: Stamp,
        changes: TaskChanges,
        *,
        external_key: str | None = None,
    ) -> Self:
        """Version 1 of a task. Raises RuleBroken where a field does not fit."""
        fields = _checked(changes)
        return cls(**first_stamps(id, stamp), **fields, external_key=external_key)  # type: ignore[arg-type]

    @classmethod
    def imported(cls, id: str, stamp: Stamp, changes: TaskChanges, *, origin: Origin) -> Self:
        """Version 1 of a task that lived elsewhere: as old as it was there, and in the trash where it was there.

        The stamp says who brings it, and when this version was made. Raises RuleBroken where a field does not fit.
        """
        require_text(origin.external_key, "/externalKey", shortest=1, longest=EXTERNAL_KEY_LENGTH_MAX)
        task = replace(
            cls.create(id, stamp, changes, external_key=origin.external_key), created_at=origin.created_at
        )
        if origin.deleted_at is None:
            return task
        if origin.deleted_reason is not None:
            require_text(origin.deleted_reason, "/reason", longest=REASON_LENGTH_MAX)
        return replace(
            task,
            is_deleted=True,
            deleted_at=origin.deleted_at,
            deleted_by=stamp.by,
            deleted_reason=origin.deleted_reason,
        )

    def edit(self, stamp: Stamp, changes: TaskChanges) -> Self:
        """The task with these changes; the same object where they change nothing."""
        self.require_live()
        fields = _checked(changes)
        if fields.get("parent_id") == self.id:
            raise RuleBroken(
                "A task cannot be its own parent.", faults=[Fault("/parentId", "is the task itself")]
            )
        return self._next(stamp, **fields)

    def discard(self, stamp: Stamp, *, reason: str | None = None) -> Self:
        """Into the trash, saying why."""
        if reason is not None:
            require_text(reason, "/reason", longest=REASON_LENGTH_MAX)
        return replace(self.delete(stamp), deleted_reason=reason)

    def roll_back_to(self, earlier: Self, stamp: Stamp) -> Self:
        """The content of an earlier version; why it was in the trash then is no content."""
        kept = replace(earlier, deleted_reason=self.deleted_reason)
        return super(Task, self).roll_back_to(kept, stamp)

    def restore(self, stamp: Stamp) -> Self:
        """Out of the trash; the reason goes."""
        # Slotted dataclasses are made anew by their decorator, so the two-argument form names the final class.
        return replace(super(Task, self).restore(stamp), deleted_reason=None)


def _checked(changes: TaskChanges) -> TaskChanges:
    if "title" in changes:
        require_text(changes["title"], "/title", shortest=1, longest=TITLE_LENGTH_MAX)
    if (description := changes.get("description")) is not None:
        require_text(description, "/description", longest=DESCRIPTION_LENGTH_MAX)
    if "label_ids" not in changes:
        return changes
    label_ids = tuple(sorted(set(changes["label_ids"])))
    if len(label_ids) > LABELS_MAX:
        raise RuleBroken(
            "Too many labels.", faults=[Fault("/labelIds", f"has more than {LABELS_MAX} labels")]
        )
    return {**changes, "label_ids": label_ids}
