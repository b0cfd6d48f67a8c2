"""What the handlers of deferring, assigning and many tasks work with; see desks.py for why each asks for one desk."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from application.tasks import assignments
from application.tasks import bulk as bulk_tasks
from application.tasks import commands as tasks
from application.tasks import reading as task_reading
from entrypoints.http.protocol.cursors import Pages
from entrypoints.http.protocol.writes import Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWorkDesk:
    """For what people do with one task beside changing its fields."""

    get: task_reading.GetTask
    defer: tasks.DeferTask
    assign: assignments.AssignTask
    unassign: assignments.UnassignTask
    writing: Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkDesk:
    """For many tasks at once: `together` all or none, `each` by itself; `written` finds what `together` made before."""

    together: bulk_tasks.WriteTasksTogether
    written: bulk_tasks.ReadTasksWritten
    each: bulk_tasks.WriteTasksEach
    writing: Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentDesk:
    """For assignments. `made` finds what an earlier request made."""

    create: assignments.CreateAssignment
    made: assignments.GetMadeAssignment
    get: assignments.GetAssignment
    find: assignments.ListAssignments
    choose_executor: assignments.ChooseExecutor
    end: assignments.EndAssignment
    pages: Pages
    writing: Writing


class TaskWorkUseCases(Protocol):
    """What these desks need from the container."""

    @property
    def get_task(self) -> Callable[[], task_reading.GetTask]: ...
    @property
    def defer_task(self) -> Callable[[], tasks.DeferTask]: ...
    @property
    def assign_task(self) -> Callable[[], assignments.AssignTask]: ...
    @property
    def unassign_task(self) -> Callable[[], assignments.UnassignTask]: ...

    @property
    def write_tasks_together(self) -> Callable[[], bulk_tasks.WriteTasksTogether]: ...
    @property
    def read_tasks_written(self) -> Callable[[], bulk_tasks.ReadTasksWritten]: ...
    @property
    def write_tasks_each(self) -> Callable[[], bulk_tasks.WriteTasksEach]: ...

    @property
    def create_assignment(self) -> Callable[[], assignments.CreateAssignment]: ...
    @property
    def get_made_assignment(self) -> Callable[[], assignments.GetMadeAssignment]: ...
    @property
    def get_assignment(self) -> Callable[[], assignments.GetAssignment]: ...
    @property
    def list_assignments(self) -> Callable[[], assignments.ListAssignments]: ...
    @property
    def choose_executor(self) -> Callable[[], assignments.ChooseExecutor]: ...
    @property
    def end_assignment(self) -> Callable[[], assignments.EndAssignment]: ...


def task_desks(container: TaskWorkUseCases, pages: Pages, writing: Writing) -> dict[str, object]:
    """The desks by the names that handlers ask for."""
    return {
        "work": TaskWorkDesk(
            get=container.get_task(),
            defer=container.defer_task(),
            assign=container.assign_task(),
            unassign=container.unassign_task(),
            writing=writing,
        ),
        "bulk": BulkDesk(
            together=container.write_tasks_together(),
            written=container.read_tasks_written(),
            each=container.write_tasks_each(),
            writing=writing,
        ),
        "assignments": AssignmentDesk(
            create=container.create_assignment(),
            made=container.get_made_assignment(),
            get=container.get_assignment(),
            find=container.list_assignments(),
            choose_executor=container.choose_executor(),
            end=container.end_assignment(),
            pages=pages,
            writing=writing,
        ),
    }
