"""/v1/imports and /v1/exports: files of other trackers."""

from litestar import Controller, get, post
from litestar.di import NamedDependency

from application.interchange.imports import ImportRequest
from application.interchange.report import ImportReport
from application.ports.interchange import CONTENT_BYTES_MAX
from entrypoints.http.interchange_desk import InterchangeDesk
from entrypoints.http.interchange_shapes import (
    FILE_TYPES,
    LINES_TYPE,
    ExportQuery,
    ImportQuery,
    ImportReportView,
    LossView,
    ReceiverView,
    SkipView,
)
from entrypoints.http.protocol.answers import NO_STORE, Answer, HttpRequest, made_view, view_answer
from entrypoints.http.protocol.input import read_file
from entrypoints.http.protocol.operation import documented
from entrypoints.http.queries import read_query
from entrypoints.http.security.authentication import actor_of

_AS_FILE = (b"content-disposition", b'attachment; filename="tandem.jsonl"')


class ImportController(Controller):
    """Everybody imports, into projects of his own."""

    path = "/v1/imports"

    @post(
        status_code=200,
        request_max_body_size=CONTENT_BYTES_MAX,
        opt=documented(
            "Import the issues of another tracker; the same file again brings only what is missing, also where time"
            " ran out",
            answer=ImportReportView,
            query=ImportQuery,
            file_types=FILE_TYPES,
            also=(409,),
        ),
    )
    async def run(self, request: HttpRequest, interchange: NamedDependency[InterchangeDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, ImportQuery)
        async with interchange.turns:
            wanted = ImportRequest(
                content=await read_file(request, FILE_TYPES),
                format=query.format,
                project_name=query.project or query.format.capitalize(),
                is_dry_run=query.dry_run,
            )
            report = await interchange.import_issues(actor, wanted)
        return view_answer(_report_view(report), headers=NO_STORE)


def _report_view(report: ImportReport) -> ImportReportView:
    return ImportReportView(
        format=report.format,
        dry_run=report.is_dry_run,
        project=ReceiverView(report.project_id, report.project_name, report.is_new_project),
        new_labels=report.new_labels,
        counts={fate.value: count for fate, count in report.fates.items()},
        skipped=tuple(made_view(skip, SkipView) for skip in report.skipped),
        lost=tuple(made_view(loss, LossView) for loss in report.lost),
    )


class ExportController(Controller):
    """Everybody exports what he may see."""

    path = "/v1/exports"

    @get(
        opt=documented(
            "Export tasks, the trash included, as a file that an import reads again",
            query=ExportQuery,
            media_type=LINES_TYPE,
            also=(404, 410, 422),
        )
    )
    async def run(self, request: HttpRequest, interchange: NamedDependency[InterchangeDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, ExportQuery)
        async with interchange.turns:
            content = await interchange.export_tasks(actor, query.format, project_id=query.project_id)
        return Answer(content, headers=(_AS_FILE, *NO_STORE), media_type=LINES_TYPE.encode())
