"""Turns what the domain decides into a refusal. The only place that raises Forbidden."""

from application.actor import SYSTEM_ID, Actor
from application.ports.unit_of_work import UnitOfWork
from domain.errors import Forbidden, NotFound
from domain.permissions import is_admin

_ADMINS_ONLY = "Only an administrator may do this."


def require(allowed: bool, message: str | None = None) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises Forbidden unless allowed."""
    if not allowed:
        raise Forbidden(message)


def require_visible(visible: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises NotFound unless visible: what somebody must not know of does not exist for him."""
    if not visible:
        raise NotFound


def require_admin(actor: Actor) -> None:
    """Raises Forbidden unless the actor administers the installation."""
    require(is_admin(actor.grants), _ADMINS_ONLY)


async def require_present_admin(work: UnitOfWork, actor: Actor) -> None:
    """Raises Forbidden unless the actor administers the installation at present, whatever his token says; the commit
    relies on it. For what would let him give himself back what was taken from him.
    """
    require_admin(actor)
    if actor.id == SYSTEM_ID:
        return
    user = (await work.users.get_many([actor.id])).get(actor.id)
    require(user is not None and not user.is_deleted and is_admin(frozenset(user.grants)), _ADMINS_ONLY)
    if user is not None:
        work.users.rely_on(user)
