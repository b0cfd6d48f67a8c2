"""The variable parts of addresses. What cannot be an id or a version names nothing: 404, never 400."""

from domain.entity import is_id
from domain.errors import NotFound

COLLECTIONS = frozenset({"users", "projects", "timelines", "tasks", "labels"})
"""The collections whose records have versions and are mirrored."""

_VERSION_DIGITS_MAX = 18


def addressed_collection(route: str) -> str | None:
    """The collection whose record a route template names by its `{id}`; a timeline stands below its project."""
    parts = route.split("/")
    if "timeline" in parts:
        return "timelines"
    return next((part for part in parts if part in COLLECTIONS), None)


def known_id(id: str) -> str:
    """The id of an address. Raises NotFound for what cannot be an id."""
    if not is_id(id):
        raise NotFound
    return id


def known_version(text: str) -> int:
    """The version of an address. Raises NotFound for what cannot be a version."""
    if not (text.isascii() and text.isdecimal()) or len(text) > _VERSION_DIGITS_MAX:
        raise NotFound("There is no such version.")
    return int(text)


def known_collection(name: str) -> str:
    """The collection of an address. Raises NotFound for one that does not exist."""
    if name not in COLLECTIONS:
        raise NotFound("There is no such collection.")
    return name
