"""/v1/projects/{id}/timeline: load, save whole, change in part."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
from litestar import Controller, get, patch, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.types import AnyCallable
from msgspec import UNSET, UnsetType

from application.actor import Actor
from domain.timeline import Calendar, Dependency, Plan, Timeline, TimelineItem
from entrypoints.http.addresses import known_id
from entrypoints.http.desks import TimelineDesk
from entrypoints.http.history import HistoryController, Versioned
from entrypoints.http.projects.schemas import (
    CalendarPatch,
    DependencyBody,
    TimelineBody,
    TimelineItemBody,
    TimelinePatch,
    set_fields,
)
from entrypoints.http.protocol.answers import Answer, HttpRequest, entity_answer, view_answer, view_of
from entrypoints.http.protocol.input import read_body, read_patch
from entrypoints.http.protocol.operation import VIEW, documented
from entrypoints.http.queries import SaveQuery, TimelineQuery, read_query
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.views import TimelineView

PATH = "/v1/projects/{id:str}/timeline"


def _plan(body: TimelineBody) -> Plan:
    return Plan(
        calendar=msgspec.convert(body.calendar, Calendar, from_attributes=True),
        items=_items(body.items),
        dependencies=_dependencies(body.dependencies),
        message=body.message,
    )


def _items(bodies: Iterable[TimelineItemBody]) -> tuple[TimelineItem, ...]:
    return msgspec.convert(bodies, tuple[TimelineItem, ...], from_attributes=True)


def _dependencies(bodies: Iterable[DependencyBody]) -> tuple[Dependency, ...]:
    return tuple(Dependency(from_=link.from_, to=link.to, kind=link.kind, lag=link.lag) for link in bodies)


def _patched(timeline: Timeline, patch: TimelinePatch) -> Plan:
    """The plan with a merge patch applied. The message belonged to the version before, so it is not carried on."""
    return Plan(
        calendar=_patched_calendar(timeline.calendar, patch.calendar),
        items=timeline.items if patch.items is UNSET else _items(patch.items or ()),
        dependencies=(
            timeline.dependencies if patch.dependencies is UNSET else _dependencies(patch.dependencies or ())
        ),
        message=None if patch.message is UNSET else patch.message,
    )


def _patched_calendar(calendar: Calendar, patch: CalendarPatch | UnsetType | None) -> Calendar:
    if patch is UNSET:
        return calendar
    if patch is None:
        return Calendar()
    usual = Calendar()
    fields = set_fields(patch)
    return replace(
        calendar,
        **{name: getattr(usual, name) if value is None else value for name, value in fields.items()},
    )


def _versioned(timelines: NamedDependency[TimelineDesk]) -> Versioned:
    return Versioned(
        collection="timelines",
        load=timelines.get,
        roll_back=timelines.roll_back,
        list_versions=timelines.list_versions,
        pages=timelines.pages,
        writing=timelines.writing,
    )


class TimelineHistoryController(HistoryController):
    """The history of a timeline."""

    path = PATH
    opt: Mapping[str, Any] | None = {VIEW: TimelineView}
    dependencies: Mapping[str, Provide | AnyCallable] | None = {
        "versioned": Provide(_versioned, sync_to_thread=False)
    }


class TimelineController(Controller):
    """The schedule of a project."""

    path = PATH

    @get(opt=documented("Read the timeline", answer=TimelineView, query=TimelineQuery, is_tagged=True))
    async def read(
        self, request: HttpRequest, id: FromPath[str], timelines: NamedDependency[TimelineDesk]
    ) -> Answer:
        actor = actor_of(request)
        query = read_query(request, TimelineQuery)
        timeline = await timelines.get(actor, known_id(id), version=query.version, at=query.at)
        return entity_answer(request, timeline)

    @put(
        opt=documented(
            "Save a whole plan",
            answer=TimelineView,
            query=SaveQuery,
            body=TimelineBody,
            is_tagged=True,
            is_guarded=True,
            also=(403,),
        )
    )
    async def save(
        self, request: HttpRequest, id: FromPath[str], timelines: NamedDependency[TimelineDesk]
    ) -> Answer:
        actor = actor_of(request)
        query = read_query(request, SaveQuery)
        known_id(id)
        plan = _plan(await read_body(request, TimelineBody))
        expected = await timelines.writing.expected_version(request, actor, id, load=timelines.get)
        timeline = await timelines.save(actor, id, plan, expected_version=expected, dry_run=query.dry_run)
        # The version that would be made is none that somebody could name, so it is shown without a tag.
        return view_answer(view_of(timeline)) if query.dry_run else entity_answer(request, timeline)

    @patch(
        opt=documented(
            "Change parts of the plan",
            answer=TimelineView,
            query=SaveQuery,
            body=TimelinePatch,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        )
    )
    async def change(
        self, request: HttpRequest, id: FromPath[str], timelines: NamedDependency[TimelineDesk]
    ) -> Answer:
        actor = actor_of(request)
        query = read_query(request, SaveQuery)
        patch = await read_patch(request, TimelinePatch)

        async def run(claimed: Actor, expected: int | None) -> Timeline:
            present = await timelines.get(actor, id)
            present.require_version(expected)
            # What was merged is what must still be there, whether the caller named a version or not.
            return await timelines.save(
                claimed,
                id,
                _patched(present, patch),
                expected_version=present.version,
                dry_run=query.dry_run,
            )

        answer = timelines.writing.show if query.dry_run else timelines.writing.change
        return await answer(request, actor, id, load=timelines.get, run=run)
