"""Many operations at once, as they come in and go out."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from application.tasks.bulk_operations import OPERATIONS_MAX
from entrypoints.http.errors import ProblemView
from entrypoints.http.projects.schemas import TaskBody, TaskPatch, VersionNumber
from entrypoints.http.views import Id, TaskView


class CreateOperationBody(TaskBody, rename="camel", forbid_unknown_fields=True, tag_field="op", tag="create"):
    """A new task, one of many operations."""


class UpdateOperationBody(
    TaskPatch, rename="camel", forbid_unknown_fields=True, kw_only=True, tag_field="op", tag="update"
):
    """Changes of a task (merge patch), one of many operations. `version`: what If-Match is for one task."""

    id: Id
    version: VersionNumber | UnsetType = UNSET


class DeleteOperationBody(Struct, rename="camel", forbid_unknown_fields=True, tag_field="op", tag="delete"):
    """A task into the trash, one of many operations. `version`: what If-Match is for one task."""

    id: Id
    version: VersionNumber | UnsetType = UNSET


OperationBody = CreateOperationBody | UpdateOperationBody | DeleteOperationBody


class BulkBody(Struct, forbid_unknown_fields=True):
    """Operations, each on a task of its own. `atomic`: all are carried out, or none."""

    operations: Annotated[tuple[OperationBody, ...], Meta(min_length=1, max_length=OPERATIONS_MAX)]
    atomic: bool = True


class OutcomeView(Struct):
    """What became of one operation: the status that it would have alone, and the task or why it was refused."""

    index: int
    status: int
    task: TaskView | UnsetType = UNSET
    problem: ProblemView | UnsetType = UNSET


class BulkView(Struct):
    """What became of each operation, in their order."""

    outcomes: tuple[OutcomeView, ...]
