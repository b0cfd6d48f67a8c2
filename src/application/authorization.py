"""Turns what the domain decides into a refusal. The only place that raises Forbidden."""

from application.actor import Actor
from domain.errors import Forbidden, NotFound
from domain.permissions import is_admin


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
    require(is_admin(actor.grants), "Only an administrator may do this.")
