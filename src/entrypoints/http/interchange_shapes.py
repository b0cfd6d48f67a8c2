"""Imports and exports as they come in and go out."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from domain.project import NAME_LENGTH_MAX
from entrypoints.http.queries import NoQuery
from entrypoints.http.views import Id

LINES_TYPE = "application/x-ndjson"
FILE_TYPES = (LINES_TYPE, "application/octet-stream", "text/plain")
"""What a file of lines is sent as: programs do not agree on the first, and know the others."""

Format = Literal["beads"]
ReceivingProject = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=NAME_LENGTH_MAX,
        description="The name of the project of yours that receives the tasks, made where there is none; without it,"
        " the name of the format.",
    ),
]


class ImportQuery(NoQuery, rename="camel"):
    """What the file is, and where to. With `dryRun` nothing is changed."""

    format: Format
    project: ReceivingProject | None = None
    dry_run: bool = False


class ExportQuery(NoQuery, rename="camel"):
    """What to write; without `projectId`, all that the caller may see."""

    format: Format
    project_id: Id | None = None


class ReceiverView(Struct, rename="camel"):
    """The project that receives an import."""

    id: Id
    name: str
    is_new: bool


class SkipView(Struct):
    """An issue that was left alone, and why."""

    key: str
    why: str


class LossView(Struct):
    """How often the same was lost for the same reason, and the keys of a few issues that lost it."""

    field: str
    why: str
    count: int
    examples: tuple[str, ...]


class ImportReportView(Struct, rename="camel"):
    """What an import did, or with `dryRun` would do: `counts` says how many issues met which fate."""

    format: str
    dry_run: bool
    project: ReceiverView
    new_labels: tuple[str, ...]
    counts: dict[str, int]
    skipped: tuple[SkipView, ...]
    lost: tuple[LossView, ...]
