"""One use case, one change set."""

from typing import Protocol

from application.actor import Actor
from application.ports.repositories import AuditTrail, Labels, Projects, Tasks, Timelines, Users


class UnitOfWork(Protocol):
    """The repositories as one use case sees them, and the one commit at its end."""

    @property
    def users(self) -> Users: ...

    @property
    def projects(self) -> Projects: ...

    @property
    def timelines(self) -> Timelines: ...

    @property
    def tasks(self) -> Tasks: ...

    @property
    def labels(self) -> Labels: ...

    @property
    def audit(self) -> AuditTrail: ...

    async def commit(self) -> None:
        """Stores every saved entity and one audit entry for each, all or nothing, also when the process dies.

        Returns once the change set is durable; does nothing where nothing was saved. Raises VersionConflict where
        somebody else changed one of the entities, or one it relies on, since it was read (and names it),
        AlreadyExists where a unique value is taken, StoreUnavailable where the store does not answer, and MirrorPending
        where every acknowledgement needs the second store and it did not confirm (the change set is durable all the
        same).
        """
        ...


class Begin(Protocol):
    """Starts units of work."""

    def __call__(self, actor: Actor) -> UnitOfWork:
        """A fresh unit of work in the actor's name. It holds nothing open until something is read or committed."""
        ...
