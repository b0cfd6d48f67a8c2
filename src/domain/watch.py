"""A watch: a user follows a task."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from domain.entity import Entity, Stamp, derived_id


def watch_id(user_id: str, task_id: str) -> str:
    """The id of this user's watch of this task; there is only one."""
    return derived_id("watchlists", user_id, task_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch(Entity):
    """It is in the trash when the user no longer follows the task."""

    user_id: str
    task_id: str

    @classmethod
    def create(cls, stamp: Stamp, *, user_id: str, task_id: str) -> Self:
        """Version 1 of a watch."""
        return cls._first(watch_id(user_id, task_id), stamp, user_id=user_id, task_id=task_id)

    @property
    def began_at(self) -> datetime:
        """When the user began to follow the task: later versions exist only because they stopped or began again."""
        return self.created_at if self.version == 1 else self.updated_at
