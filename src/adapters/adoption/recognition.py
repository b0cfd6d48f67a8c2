"""Recognizes a database of the public shape, and reads it."""

from collections.abc import Callable, Iterable
from typing import Final

from adapters.adoption.document_fields import DocumentFields
from adapters.adoption.plan import COLLECTIONS, DOCUMENTS_MAX
from adapters.records.originals import Original, Originals
from domain.errors import Conflict

NEEDED: Final = ("users", "tasks")
_MARKS: Final = {
    "users": ("email", "emailId", "email_id"),
    "tasks": ("title", "displayId", "display_id", "createdBy", "created_by"),
}
"""The fields of which most documents of a collection have at least one."""


async def read_originals(
    originals: Originals, on_progress: Callable[[int, int], None]
) -> tuple[dict[str, list[Original]], list[str]]:
    """All documents of the public shape, and the names of the other collections.

    Raises Conflict for a database with other collections or fields, one that is Tandem's own, and one that is too
    large.
    """
    names = await _recognized(originals)
    counts = {name: await originals.count(name) for name in names}
    total, done = sum(counts.values()), 0
    if total > DOCUMENTS_MAX:
        raise Conflict(f"The database holds {total} documents; at most {DOCUMENTS_MAX} can be adopted.")
    found: dict[str, list[Original]] = {}
    for name in names:
        found[name] = [one async for one in originals.documents(name)]
        done += len(found[name])
        on_progress(done, max(total, done))
    for name, marks in _MARKS.items():
        _require_marks(originals.database, name, found[name], marks)
    return found, [name for name in await originals.collections() if name not in COLLECTIONS]


async def _recognized(originals: Originals) -> list[str]:
    if await originals.is_tandems():
        raise Conflict(
            f"The database {originals.database} belongs to Tandem already, so there is nothing to adopt."
            " Start it: tandem serve"
        )
    present = [name for name in COLLECTIONS if name in await originals.collections()]
    if missing := [name for name in NEEDED if name not in present]:
        raise Conflict(
            f"The database {originals.database} has no collection {' and no '.join(missing)}, so it is not of the shape"
            " that can be adopted. Name the right one with --from (or DB_NAME)."
        )
    return present


def _require_marks(
    database: str, collection: str, documents: Iterable[Original], marks: Iterable[str]
) -> None:
    named = tuple(marks)
    readable = [DocumentFields(one).left() for one in documents if one.damage is None]
    marked = sum(any(name in fields for name in named) for fields in readable)
    if readable and marked * 2 < len(readable):
        raise Conflict(
            f"Most documents of {collection} in {database} have none of the fields {', '.join(named)}, so it is not of"
            " the shape that can be adopted. Name the right one with --from (or DB_NAME)."
        )
