"""/v1/tasks/bulk: many operations on tasks in one request."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency

from application.actor import Actor
from application.tasks.bulk_operations import CreateOperation, TaskOperation, placed, shorten
from application.tasks.details import TaskDetails
from domain.errors import Conflict, Invalid, TandemError, VersionConflict, Violation
from entrypoints.http.authentication import actor_of
from entrypoints.http.body_reading import read_with
from entrypoints.http.bulk_reading import Asked, read_bulk
from entrypoints.http.bulk_shapes import BulkBody, BulkView, OutcomeView
from entrypoints.http.documentation import documented
from entrypoints.http.errors import ProblemView, problem
from entrypoints.http.exchange import exchange_of, header
from entrypoints.http.queries import require_no_query
from entrypoints.http.refusals import Stale
from entrypoints.http.rendering import Answer, HttpRequest, RawHeaders, view_answer, view_of
from entrypoints.http.task_desks import BulkDesk
from entrypoints.http.views import TaskView

Outcome = TaskDetails | TandemError


class BulkController(Controller):
    """Many tasks at once."""

    path = "/v1/tasks/bulk"

    @post(
        status_code=200,
        opt=documented(
            "Create, change and delete many tasks",
            answer=BulkView,
            body=BulkBody,
            is_repeatable=True,
            also=(403, 404, 409, 410, 412, 428),
        ),
    )
    async def write(self, request: HttpRequest, bulk: NamedDependency[BulkDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        read = partial(read_bulk, needs_versions=bulk.writing.needs_versions)
        asked = await read_with(request, read)
        if asked.is_atomic:
            tasks, headers = await _together(request, actor, bulk, asked.all_or_none())
            return _answer(request, asked, tasks, headers=headers)
        return _answer(request, asked, await _each(request, actor, bulk, asked))


async def _together(
    request: HttpRequest, actor: Actor, bulk: BulkDesk, operations: Sequence[TaskOperation]
) -> tuple[list[TaskDetails], RawHeaders]:
    try:
        return await bulk.writing.once(
            request,
            actor,
            run=lambda claimed: bulk.together(claimed, operations),
            again=lambda id, version: bulk.written(actor, operations, id=id, version=version),
        )
    except VersionConflict as conflict:
        raise _told(conflict, operations) from conflict


async def _each(request: HttpRequest, actor: Actor, bulk: BulkDesk, asked: Asked) -> list[Outcome]:
    if header(request.scope, b"idempotency-key") is not None:
        violation = Violation("/Idempotency-Key", "is heard only where `atomic` is true")
        raise Invalid(
            "Operations that stand by themselves cannot be repeated as one.", violations=[violation]
        )
    operations = asked.sound()
    done = iter(await bulk.each(actor, operations) if operations else [])
    outcomes = [each if isinstance(each, TandemError) else next(done) for each in asked.items]
    told = [
        placed(_told(each, operations), at) if isinstance(each, TandemError) else each
        for at, each in enumerate(outcomes)
    ]
    shorten(each for each in told if isinstance(each, TandemError))
    return told


def _told(error: TandemError, operations: Sequence[TaskOperation]) -> TandemError:
    """A conflict as its caller knows it: a version that he named is stale; otherwise two writers met."""
    if not isinstance(error, VersionConflict):
        return error
    named = {
        each.id
        for each in operations
        if not isinstance(each, CreateOperation) and each.expected_version is not None
    }
    is_stale = error.entity_id in named
    told = Stale(current_version=error.current_version) if is_stale else Conflict(error.message)
    told.violations = error.violations
    return told


def _answer(
    request: HttpRequest, asked: Asked, outcomes: Sequence[Outcome], *, headers: RawHeaders = ()
) -> Answer:
    views = [
        _refused(request, place, outcome)
        if isinstance(outcome, TandemError)
        else OutcomeView(place, _status(asked.items[place]), task=cast("TaskView", view_of(outcome)))
        for place, outcome in enumerate(outcomes)
    ]
    return view_answer(BulkView(tuple(views)), headers=headers)


def _refused(request: HttpRequest, place: int, error: TandemError) -> OutcomeView:
    path, request_id = request.scope["path"], exchange_of(request.scope).request_id
    status, body = problem(error, path=path, request_id=request_id)
    return OutcomeView(place, status, problem=msgspec.json.decode(body, type=ProblemView))


def _status(asked: TaskOperation | TandemError) -> int:
    return 201 if isinstance(asked, CreateOperation) else 200
