"""What the administrators' operations take and show."""

from typing import Annotated

from msgspec import Meta, Struct

from entrypoints.http.queries import ListQuery, NoQuery
from entrypoints.http.views import Id, InstantText

Ratio = Annotated[float, Meta(ge=0, le=1)]


class RunQuery(NoQuery, rename="camel"):
    """How to run."""

    dry_run: bool = False


class HeapQuery(ListQuery, rename="camel"):
    """A page of one collection's trash, oldest first."""


class TrashHeapView(Struct, rename="camel"):
    """How much of one collection is in the trash, and since when the oldest of it."""

    collection: str
    count: int
    oldest_deleted_at: InstantText | None


class TrashHeapsView(Struct):
    """The trash of all users, by collection."""

    items: tuple[TrashHeapView, ...]


class TrashedView(Struct, rename="camel"):
    """Something in the trash; once `dueAt` is past, the next run removes it for good."""

    collection: str
    id: Id
    version: int
    name: str
    deleted_at: InstantText
    deleted_by: Id | None
    due_at: InstantText


class RetentionRunView(Struct, rename="camel"):
    """What one run removed, by collection (in a dry run: what has expired, without what would go along).

    `detached` counts what stays and lost a label, a parent or a team that is gone. `kept` waits for another run:
    somebody changed it in the same moment, or something in it still lives. The next run completes what is not.
    """

    at: InstantText
    cutoff: InstantText
    removed: dict[str, int]
    detached: int
    kept: int
    is_complete: bool
    is_dry_run: bool


class RetentionView(Struct, rename="camel"):
    """How long the trash keeps things, what is due by collection, and the last run."""

    retention_days: int
    cutoff: InstantText
    expired: dict[str, int]
    last_run: RetentionRunView | None


class SlowQueryView(Struct, rename="camel"):
    """One operation of a store that took long; never with what values."""

    at: InstantText
    store: str
    operation: str
    collection: str
    outcome: str
    duration_ms: float


class SlowQueriesView(Struct):
    """The newest slow operations of the process that answers, newest first."""

    items: tuple[SlowQueryView, ...]


class CacheView(Struct, rename="camel"):
    """How the process that answers uses its cache. `ratio` is null as long as nothing was asked for."""

    is_configured: bool
    in_use: bool
    hits: int
    misses: int
    ratio: Ratio | None
