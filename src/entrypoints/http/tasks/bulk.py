"""/v1/tasks/bulk: many operations on tasks in one request."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct, UnsetType

from application.actor import Actor
from application.tasks.bulk import ReadTasksWritten, WriteTasksEach, WriteTasksTogether
from application.tasks.bulk_operations import CreateOperation, TaskOperation, placed, shorten
from application.tasks.details import TaskDetails
from domain.errors import Conflict, Invalid, TandemError, VersionConflict, Violation
from entrypoints.http.protocol.answers import Answer, encoded
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.problems import ProblemView, Stale, problem
from entrypoints.http.protocol.request import RawHeaders, Request
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.writes import Writes
from entrypoints.http.tasks.bulk_input import BulkBody, BulkRequest, read_bulk
from entrypoints.http.tasks.schemas import TaskView, task_view

Outcome = TaskDetails | TandemError


class OutcomeView(Struct):
    """The outcome of one operation: the status of the same single request, and the task or the problem."""

    index: int
    status: int
    task: TaskView | UnsetType = msgspec.UNSET
    problem: ProblemView | UnsetType = msgspec.UNSET


class BulkView(Struct):
    """The outcomes of all operations, in order."""

    outcomes: tuple[OutcomeView, ...]


class BulkController(Controller, path="/v1/tasks/bulk"):
    """Operations on many tasks in one request."""

    together: WriteTasksTogether
    each: WriteTasksEach
    read_written: ReadTasksWritten
    writes: Writes

    # The answer to a repeated request depends on its operations, so the handler itself deals with the key.
    @operation(
        "POST",
        summary="Create, change and delete many tasks",
        description="As for single changes, a task that moves into a project is visible there with its whole history.",
        view=BulkView,
        body=BulkBody,
        body_reader=read_bulk,
        repeatable=True,
        replay=None,
        also=(403, 404, 409, 410, 412, 428),
    )
    async def write(self, request: Request, actor: Actor, body: BulkRequest) -> Answer:
        bulk = body.requiring_versions() if self.writes.needs_versions else body
        if bulk.is_atomic:
            tasks, headers = await self._together(request, actor, bulk.all_or_none())
            return _answer(request, bulk, tasks, headers=headers)
        return _answer(request, bulk, await self._each(request, actor, bulk))

    async def _together(
        self, request: Request, actor: Actor, operations: Sequence[TaskOperation]
    ) -> tuple[list[TaskDetails], RawHeaders]:
        try:
            return await self.writes.once(
                request,
                actor,
                run=lambda claimed: self.together(claimed, operations),
                replay=lambda id, version: self.read_written(actor, operations, id=id, version=version),
            )
        except VersionConflict as conflict:
            raise _as_named(conflict, operations) from conflict

    async def _each(self, request: Request, actor: Actor, bulk: BulkRequest) -> list[Outcome]:
        if request.header(b"idempotency-key") is not None:
            violation = Violation("/Idempotency-Key", "is supported only if `atomic` is true")
            message = "A bulk request can only be repeated if it is atomic; set `atomic` to true or leave out the key."
            raise Invalid(message, violations=[violation])
        operations = bulk.valid_operations()
        written = iter(await self.each(actor, operations) if operations else [])
        outcomes = [each if isinstance(each, TandemError) else next(written) for each in bulk.items]
        shown = [
            placed(_as_named(each, operations), at) if isinstance(each, TandemError) else each
            for at, each in enumerate(outcomes)
        ]
        shorten(each for each in shown if isinstance(each, TandemError))
        return shown


def _as_named(error: TandemError, operations: Sequence[TaskOperation]) -> TandemError:
    """The error for the caller: Stale if they named the version, Conflict for a concurrent change otherwise."""
    if not isinstance(error, VersionConflict):
        return error
    named = {
        each.id
        for each in operations
        if not isinstance(each, CreateOperation) and each.expected_version is not None
    }
    is_stale = error.entity_id in named
    shown = Stale(current_version=error.current_version) if is_stale else Conflict(error.message)
    shown.violations = error.violations
    return shown


def _answer(
    request: Request, bulk: BulkRequest, outcomes: Sequence[Outcome], *, headers: RawHeaders = ()
) -> Answer:
    views = [
        _problem_view(request, place, outcome)
        if isinstance(outcome, TandemError)
        else OutcomeView(place, _status(bulk.items[place]), task=task_view(outcome))
        for place, outcome in enumerate(outcomes)
    ]
    return Answer(encoded(BulkView(tuple(views))), headers=headers)


def _problem_view(request: Request, place: int, error: TandemError) -> OutcomeView:
    status, body = problem(error, path=request.path, request_id=request.request_id)
    return OutcomeView(place, status, problem=msgspec.json.decode(body, type=ProblemView))


def _status(item: TaskOperation | TandemError) -> int:
    return 201 if isinstance(item, CreateOperation) else 200


BULK = Resource(controllers=(BulkController,))
