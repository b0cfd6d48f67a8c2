"""One use case, one change set."""

from collections.abc import Iterable
from typing import Protocol

from application.actor import Actor
from application.ports.repositories import (
    Assignments,
    AuditTrail,
    Labels,
    Memberships,
    Projects,
    Roles,
    Sessions,
    Tasks,
    Teams,
    Timelines,
    Users,
    Watches,
)


class UnitOfWork(Protocol):
    """The repositories as one use case sees them, and the one commit at its end."""

    @property
    def users(self) -> Users: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def roles(self) -> Roles: ...

    @property
    def teams(self) -> Teams: ...

    @property
    def memberships(self) -> Memberships: ...

    @property
    def projects(self) -> Projects: ...

    @property
    def timelines(self) -> Timelines: ...

    @property
    def tasks(self) -> Tasks: ...

    @property
    def assignments(self) -> Assignments: ...

    @property
    def watches(self) -> Watches: ...

    @property
    def labels(self) -> Labels: ...

    @property
    def audit(self) -> AuditTrail: ...

    async def load(  # noqa: PLR0913 - one name for each kind
        self,
        *,
        users: Iterable[str] = (),
        roles: Iterable[str] = (),
        teams: Iterable[str] = (),
        memberships: Iterable[str] = (),
        projects: Iterable[str] = (),
        timelines: Iterable[str] = (),
        tasks: Iterable[str] = (),
        watches: Iterable[str] = (),
        labels: Iterable[str] = (),
    ) -> None:
        """Reads entities of several kinds in one call to the store, so that `get` and `get_many` need none for them,
        nor for those that do not exist. Raises StoreUnavailable where the store does not answer.
        """
        ...

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
