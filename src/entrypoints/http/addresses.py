"""The variable parts of addresses. What cannot be an id or a version names nothing: 404, never 400."""

from collections.abc import Mapping

from domain.entity import is_id
from domain.errors import NotFound
from domain.team import membership_id

COLLECTIONS = frozenset(
    {
        "users",
        "projects",
        "timelines",
        "tasks",
        "task_assignments",
        "labels",
        "teams",
        "team_members",
        "roles",
    }
)
"""The collections whose records an address names by its `{id}`."""

MIRRORED_COLLECTIONS = COLLECTIONS | {"sessions", "watchlists"}
"""The collections of which `/v1/sync` can tell: all that are mirrored, also those whose records have no address."""

_VERSION_DIGITS_MAX = 18


def addressed_record(route: str, parameters: Mapping[str, str]) -> tuple[str, str] | None:
    """Collection and id of the record that a request is about: a timeline stands below its project, a membership below
    its team.
    """
    if "id" not in parameters:
        return None
    if "user_id" in parameters:
        return "team_members", membership_id(parameters["id"], parameters["user_id"])
    parts = route.replace("-", "_").split("/")
    if "timeline" in parts:
        return "timelines", parameters["id"]
    collection = next((part for part in parts if part in COLLECTIONS), None)
    return None if collection is None else (collection, parameters["id"])


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
    if name not in MIRRORED_COLLECTIONS:
        raise NotFound("There is no such collection.")
    return name
