"""What each operation says about itself; the OpenAPI document is assembled from it."""

from dataclasses import dataclass
from typing import Any

from msgspec import Struct

OPERATION = "operation"
VIEW = "view"
"""The `opt` under which a controller names the view that stands for EntityView in what it inherits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """One operation. `answer` is the view of a good answer, None for one without a body; `page_of` a page of views.

    `is_tagged`: the answer is an entity under its ETag. `is_guarded`: If-Match is heard. `is_repeatable`:
    Idempotency-Key is heard. `needs_body`: the body must not be left out. `file_types`: the body is a file of one of
    these media types. `also` names statuses beyond those that follow from the rest.
    """

    summary: str
    status: int = 200
    answer: type[Struct] | None = None
    page_of: type[Struct] | None = None
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    needs_body: bool = True
    file_types: tuple[str, ...] = ()
    is_public: bool = False
    is_tagged: bool = False
    is_guarded: bool = False
    is_repeatable: bool = False
    media_type: str = "application/json"
    also: tuple[int, ...] = ()


def documented(summary: str, **facts: Any) -> dict[str, Any]:
    """The `opt` of a handler that stands in the OpenAPI document."""
    return {OPERATION: Documented(summary=summary, **facts)}
