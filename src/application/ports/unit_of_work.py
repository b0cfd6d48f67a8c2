"""The unit of work: the reads and the change set of one use case."""

from collections.abc import Iterable
from typing import Protocol

from application.actor import Actor
from application.ports.repositories import (
    ApiTokens,
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
    """The repositories of one use case, and the commit at its end."""

    @property
    def users(self) -> Users: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def api_tokens(self) -> ApiTokens: ...

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
        tasks: Iterable[str] = (),
        watches: Iterable[str] = (),
        labels: Iterable[str] = (),
    ) -> None:
        """Reads entities of several collections in one call to the store, so that `get` and `get_many` need none for
        them, existing or not. Raises StoreUnavailable if the store does not answer.
        """

    async def commit(self) -> None:
        """Stores every saved entity with an audit entry for each, all or none, also if the process dies.

        Returns when the change set is durable; does nothing if nothing was saved. Raises VersionConflict, with the
        entity, if a saved or required entity has changed since it was read; AlreadyExists if a unique value is taken;
        Forbidden if a decision of the actor rested on a global role that their account no longer has; StoreUnavailable
        if the store does not answer; MirrorPending if success requires the second store, which has not confirmed (the
        change set is durable).
        """


class Begin(Protocol):
    """Starts units of work."""

    def __call__(self, actor: Actor) -> UnitOfWork:
        """A new unit of work of the actor. It holds no connection until something is read or committed."""
