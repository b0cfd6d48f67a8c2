"""/v1/imports and /v1/exports: files in the formats of other trackers."""

import asyncio
from typing import Annotated, Literal

from msgspec import Meta, Struct

from application.actor import Actor
from application.interchange.exports import ExportTasks
from application.interchange.imports import ImportIssues, ImportRequest
from application.interchange.report import ImportReport
from application.ports.interchange import CONTENT_BYTES_MAX
from domain.project import NAME_LENGTH_MAX
from entrypoints.http.protocol.answers import NO_STORE, Answer, made_view
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.request import Request
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import Id, Query

FILES_MAX = 2
"""How many files this process reads or writes at once, since each may be large."""
LINES_TYPE = "application/x-ndjson"
FILE_TYPES = (LINES_TYPE, "application/octet-stream", "text/plain")
"""Accepted media types of a JSON Lines file: the first is not registered, so programs also send the others."""

Format = Literal["beads"]
ReceivingProject = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=NAME_LENGTH_MAX,
        description="The name of your live project that receives the tasks. Without one, the project of an earlier"
        " import that still has the name receives them if you may change it, else a new project is created. If your"
        " project of the name is in the trash, the answer is 409. The default is the name of the format.",
    ),
]


class ImportQuery(Query):
    """The format of the file and the receiving project. With `dryRun` nothing is changed."""

    format: Format
    project: ReceivingProject | None = None
    dry_run: bool = False
    strict: Annotated[
        bool,
        Meta(
            description="Reject the whole file if one issue does not fit. Otherwise it is skipped, and named in the "
            "report with the reason."
        ),
    ] = False


class ExportQuery(Query):
    """The format, and the project to export; without `projectId` all tasks that the caller may see."""

    format: Format
    project_id: Id | None = None


class ReceiverView(Struct, rename="camel"):
    """The project that receives an import."""

    id: Id
    name: str
    is_new: bool


class SkipView(Struct):
    """A skipped issue and the reason."""

    key: str
    why: str


class LossView(Struct):
    """How often a field was lost for the same reason, with the keys of some of the issues."""

    field: str
    why: str
    count: int
    examples: tuple[str, ...]


class ImportReportView(Struct, rename="camel"):
    """The result of an import or of its dry run; `counts` holds the number of issues by outcome."""

    format: str
    dry_run: bool
    project: ReceiverView
    new_labels: tuple[str, ...]
    counts: dict[str, int]
    skipped: tuple[SkipView, ...]
    lost: tuple[LossView, ...]


class FileSlots(asyncio.Semaphore):
    """Limits how many files are in memory at once: one slot per file."""

    def __init__(self) -> None:
        super().__init__(FILES_MAX)


class ImportController(Controller, path="/v1/imports"):
    """Imports into projects of the caller."""

    import_issues: ImportIssues
    file_slots: FileSlots

    @operation(
        "POST",
        summary="Import issues from another tracker; importing the same file again, for example after a timeout, adds"
        " only the missing issues",
        view=ImportReportView,
        file_types=FILE_TYPES,
        stored=False,
        also=(409,),
    )
    async def run(self, request: Request, actor: Actor, query: ImportQuery) -> ImportReportView:
        async with self.file_slots:
            import_request = ImportRequest(
                content=await request.body(CONTENT_BYTES_MAX),
                format=query.format,
                project_name=query.project or query.format.capitalize(),
                is_dry_run=query.dry_run,
                is_strict=query.strict,
            )
            return report_view(await self.import_issues(actor, import_request))


def report_view(report: ImportReport) -> ImportReportView:
    """The view of an import."""
    return ImportReportView(
        format=report.format,
        dry_run=report.is_dry_run,
        project=ReceiverView(report.project_id, report.project_name, report.is_new_project),
        new_labels=report.new_labels,
        counts={fate.value: count for fate, count in report.fates.items()},
        skipped=tuple(made_view(skip, SkipView) for skip in report.skipped),
        lost=tuple(made_view(loss, LossView) for loss in report.lost),
    )


class ExportController(Controller, path="/v1/exports"):
    """Exports of the tasks that the caller may see."""

    export_tasks: ExportTasks
    file_slots: FileSlots

    @operation(
        "GET",
        summary="Export tasks, including deleted ones, as a file that can be imported again",
        media_type=LINES_TYPE,
        also=(404, 410, 422),
    )
    async def run(self, actor: Actor, query: ExportQuery) -> Answer:
        async with self.file_slots:
            content = await self.export_tasks(actor, query.format, project_id=query.project_id)
        return Answer(content, headers=(_AS_FILE, *NO_STORE), media_type=LINES_TYPE.encode())


_AS_FILE = (b"content-disposition", b'attachment; filename="tandem.jsonl"')

FILES = Resource(controllers=(ImportController, ExportController))
