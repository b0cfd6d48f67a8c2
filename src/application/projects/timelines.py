"""Timelines: read, save and roll back."""

from datetime import datetime
from itertools import islice

from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from application.projects.access import changeable_project, visible_project
from application.retrying import retry_conflicts
from application.rollback import RollBack, missing_violations
from application.trash import ResourceType
from application.use_case import TimedUseCase, UseCase
from domain.errors import VIOLATIONS_MAX, NotFound, RuleBroken, VersionConflict, Violation
from domain.project import Project
from domain.timeline import Plan, Timeline

UNSAVED_VERSION = 0


async def _planned_project(work: UnitOfWork, actor: Actor, project_id: str) -> Project:
    """The project, if the actor may change its plan; the commit checks this and the project's version again."""
    project = await changeable_project(work, actor, project_id)
    work.projects.require_unchanged(project)
    return project


def unsaved(project: Project) -> Timeline:
    """The empty timeline, version 0, of a project without a saved plan."""
    return Timeline(
        id=project.id,
        version=UNSAVED_VERSION,
        created_at=project.created_at,
        created_by=project.created_by,
        updated_at=project.created_at,
        updated_by=project.created_by,
    )


class GetTimeline(UseCase):
    """The timeline of a project: the current version, another version, or the one at a time."""

    async def __call__(
        self, actor: Actor, project_id: str, *, version: int | None = None, at: datetime | None = None
    ) -> Timeline:
        work = self.begin(actor)
        project = await visible_project(work, actor, project_id)
        timeline = await work.timelines.of_project(project_id)
        if at is not None:
            version = await work.timelines.version_at(project_id, at)
            if version is None and at >= project.created_at:
                return unsaved(project)
            if version is None:
                raise NotFound("The project did not exist at that time.")
        if version is None or (timeline is None and version == UNSAVED_VERSION):
            return timeline or unsaved(project)
        if timeline is None:
            raise NotFound("The timeline has no such version.")
        return await work.timelines.at_version(project_id, version)


class SaveTimeline(TimedUseCase):
    """Saves a whole plan. An unchanged plan makes no version; a dry run saves nothing.

    Raises RuleBroken with every new item whose task is no live task of the project.
    """

    @retry_conflicts(unless="timelines")
    async def __call__(
        self,
        actor: Actor,
        project_id: str,
        plan: Plan,
        *,
        expected_version: int | None,
        dry_run: bool = False,
    ) -> Timeline:
        work = self.begin(actor)
        project = await _planned_project(work, actor, project_id)
        project.require_live()
        stamp = self.stamp(actor)
        timeline = await work.timelines.of_project(project_id)
        if timeline is None:
            if expected_version not in (None, UNSAVED_VERSION):
                raise VersionConflict(
                    current_version=UNSAVED_VERSION, collection="timelines", entity_id=project_id
                )
            saved = Timeline.create(project_id, stamp, plan)
        else:
            timeline.require_version(expected_version)
            saved = timeline.save(stamp, plan)
        await _require_project_tasks(work, project, saved, before=timeline)
        if not dry_run:
            work.timelines.save(saved)
            await work.commit()
        return saved


async def _require_project_tasks(
    work: UnitOfWork, project: Project, after: Timeline, *, before: Timeline | None
) -> None:
    """Raises RuleBroken with every item whose task, unless the timeline had it before, is no live task of the
    project. Who may change the plan sees all tasks of the project.
    """
    present = {item.task_id for item in before.items} if before is not None else set[str | None]()
    planned = {
        f"/items/{index}/taskId": item.task_id
        for index, item in enumerate(after.items)
        if item.task_id is not None and item.task_id not in present
    }
    tasks = await work.tasks.get_many(planned.values()) if planned else {}
    missing = {
        pointer: task_id
        for pointer, task_id in planned.items()
        if task_id not in tasks or tasks[task_id].project_id != project.id or tasks[task_id].is_deleted
    }
    if missing:
        violations = await missing_violations(
            work.tasks, dict(islice(missing.items(), VIOLATIONS_MAX)), "is not a task of this project"
        )
        raise RuleBroken("The plan refers to tasks that the project does not have.", violations=violations)


async def _changeable_timeline(work: UnitOfWork, actor: Actor, project_id: str) -> Timeline:
    await _planned_project(work, actor, project_id)
    timeline = await work.timelines.of_project(project_id)
    if timeline is None:
        raise NotFound("The timeline has no such version.")
    return timeline


async def _require_tasks(work: UnitOfWork, _actor: Actor, before: Timeline, after: Timeline) -> None:
    """Raises RuleBroken with every item of the earlier version whose task was permanently removed."""
    present = {item.task_id for item in before.items}
    planned = {item.task_id for item in after.items if item.task_id is not None}
    gone = await work.tasks.purged(planned - present)
    if gone:
        violations = [
            Violation(f"/items/{index}/taskId", "was permanently removed")
            for index, item in enumerate(after.items)
            if item.task_id in gone
        ]
        raise RuleBroken("The version plans tasks that no longer exist.", violations=violations)


TIMELINES = ResourceType(
    collection="timelines",
    repository=lambda work: work.timelines,
    load_for_change=_changeable_timeline,
    check=_require_tasks,
)


class RollBackTimeline(RollBack[Timeline]):
    """Stores the plan of an earlier version as a new version."""

    resource = TIMELINES
