"""A watch: somebody follows a task."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from domain.entity import Entity, Stamp, derived_id, first_stamps


def watch_id(user_id: str, task_id: str) -> str:
    """The one id of this user's watch over this task."""
    return derived_id("watchlists", user_id, task_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch(Entity):
    """In the trash while its user does not follow the task any more."""

    user_id: str
    task_id: str

    @classmethod
    def create(cls, stamp: Stamp, *, user_id: str, task_id: str) -> Self:
        """Version 1 of a watch."""
        stamps = first_stamps(watch_id(user_id, task_id), stamp)
        return cls(**stamps, user_id=user_id, task_id=task_id)  # type: ignore[arg-type]

    @property
    def began_at(self) -> datetime:
        """Since when the user follows the task: after its first version a watch changes only when it is taken up or
        given up.
        """
        return self.created_at if self.version == 1 else self.updated_at
