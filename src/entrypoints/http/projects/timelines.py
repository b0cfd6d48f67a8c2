"""/v1/projects/{id}/timeline: read, replace, and change parts of the plan."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec
from msgspec import UNSET, Struct, UnsetType

from application.actor import Actor
from application.projects.timelines import GetTimeline, RollBackTimeline, SaveTimeline
from domain.timeline import Calendar, Dependency, Plan, Timeline, TimelineItem
from entrypoints.http.history import HistoryController
from entrypoints.http.projects.schemas import (
    CalendarPatch,
    DependencyBody,
    SaveQuery,
    TimelineBody,
    TimelineItemBody,
    TimelinePatch,
    TimelineQuery,
    TimelineView,
)
from entrypoints.http.protocol.operation import operation
from entrypoints.http.protocol.resource import Resource, shown_as
from entrypoints.http.protocol.schemas import set_fields


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
    """The plan with a merge patch applied. The message belongs to the previous version, so it is not kept."""
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
    default = Calendar()
    fields = set_fields(patch)
    return replace(
        calendar,
        **{name: getattr(default, name) if value is None else value for name, value in fields.items()},
    )


class TimelineController(
    HistoryController, path="/v1/projects/{id}/timeline", collection="timelines", view=TimelineView
):
    """The schedule of a project, and its history."""

    get: GetTimeline
    roll_back: RollBackTimeline
    save_timeline: SaveTimeline

    @operation("GET", summary="Read the timeline", view=TimelineView)
    async def read(self, actor: Actor, id: str, query: TimelineQuery) -> Timeline:
        return await self.get(actor, id, version=query.version, at=query.at)

    @operation("PUT", summary="Replace the whole plan", view=TimelineView, also=(403,))
    async def save(
        self, actor: Actor, id: str, *, query: SaveQuery, body: TimelineBody, expected: int | None
    ) -> Timeline | Struct:
        timeline = await self.save_timeline(
            actor, id, _plan(body), expected_version=expected, dry_run=query.dry_run
        )
        return self._shown(timeline, query)

    @operation("PATCH", summary="Change parts of the plan", view=TimelineView, repeatable=True, also=(403,))
    async def change(
        self, actor: Actor, id: str, *, query: SaveQuery, body: TimelinePatch, expected: int | None
    ) -> Timeline | Struct:
        current = await self.get(actor, id)
        current.require_version(expected)
        # The merged version must still be current at the commit, even without If-Match.
        timeline = await self.save_timeline(
            actor, id, _patched(current, body), expected_version=current.version, dry_run=query.dry_run
        )
        return self._shown(timeline, query)

    def _shown(self, timeline: Timeline, query: SaveQuery) -> Timeline | Struct:
        """The timeline; in a dry run its view, which is answered without ETag because the version does not exist."""
        return self.views.of(timeline) if query.dry_run else timeline


TIMELINES = Resource(
    controllers=(TimelineController,),
    collection="timelines",
    view=TimelineView,
    views=shown_as(Timeline, TimelineView),
)
