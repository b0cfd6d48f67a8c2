"""Demo data for new installations: two projects with tasks, labels and one schedule."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

from application.actor import Actor, system_actor
from application.ports.display_numbers import DisplayNumbers
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import UnitOfWork
from application.use_case import TimedUseCase, UseCase
from domain.entity import Stamp, derived_id
from domain.errors import Conflict, NotFound, Purged
from domain.label import Label
from domain.permissions import Grant
from domain.project import Project
from domain.task import Priority, Task, TaskChanges, TaskStatus
from domain.timeline import Dependency, ItemKind, Plan, Timeline, TimelineItem
from domain.user import User

DEMO_EMAIL = "demo@example.com"

_LABELS = {"indoors": "#2563eb", "outdoors": "#16a34a", "needs a permit": "#dc2626"}

_GARDEN = "Garden pond"
_LIBRARY = "Neighbourhood library"


@dataclass(frozen=True, slots=True)
class _Sample:
    """A task to create; `due_in_days` counts from the seeding."""

    title: str
    status: TaskStatus = TaskStatus.TODO
    priority: Priority = Priority.MEDIUM
    labels: tuple[str, ...] = ()
    due_in_days: int | None = None
    parent: str | None = None


_SAMPLES: dict[str, tuple[_Sample, ...]] = {
    _GARDEN: (
        _Sample("Choose a place that gets six hours of sun", TaskStatus.DONE, labels=("outdoors",)),
        _Sample(
            "Ask the council about the water line",
            TaskStatus.IN_PROGRESS,
            Priority.HIGH,
            ("needs a permit",),
            5,
        ),
        _Sample("Dig the basin", TaskStatus.BLOCKED, Priority.HIGH, ("outdoors",), 12),
        _Sample("Line the basin", labels=("outdoors",), due_in_days=16, parent="Dig the basin"),
        _Sample("Lay the pump cable", priority=Priority.LOW, labels=("outdoors",), parent="Dig the basin"),
        _Sample("Fill and let it settle for a week", due_in_days=25),
        _Sample("Plant water lilies", priority=Priority.LOW, labels=("outdoors",), due_in_days=30),
    ),
    _LIBRARY: (
        _Sample("Collect books from the street", TaskStatus.DONE, labels=("outdoors",)),
        _Sample("Build three shelves", TaskStatus.IN_PROGRESS, labels=("indoors",), due_in_days=7),
        _Sample("Sort by language", labels=("indoors",)),
        _Sample("Write the lending rules", priority=Priority.LOW, labels=("indoors",)),
        _Sample("Invite everybody to the opening", priority=Priority.HIGH, due_in_days=21),
    ),
}


@dataclass(frozen=True, slots=True)
class SeedReport:
    """The address of the demo user, and whether this call added the data."""

    email: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class HasDemonstration(UseCase):
    """Whether demo data was added."""

    async def __call__(self) -> bool:
        return await _was_seeded(self.begin(system_actor("demonstration")))


@dataclass(frozen=True, slots=True)
class SeedDemonstration(TimedUseCase):
    """Adds the demo data in one change set, unless it was added before."""

    identifiers: Identifiers
    numbers: DisplayNumbers

    async def __call__(self, actor: Actor) -> SeedReport:
        reading = self.begin(actor)
        if await _was_seeded(reading):
            return SeedReport(DEMO_EMAIL, is_new=False)
        known = await reading.users.with_email(DEMO_EMAIL)
        stamp = Stamp(self.clock.now(), self.identifiers.fresh() if known is None else known.id)
        # Everything from here on is done by the demo user, also in the audit trail.
        work = self.begin(replace(actor, id=stamp.by))
        if known is None:
            work.users.save(await _new_user(work, stamp))
        label_ids = await self._labels(work, stamp)
        numbers = iter(await self.numbers.several(sum(len(samples) for samples in _SAMPLES.values())))
        for name in _SAMPLES:
            project = Project.create(_id(name), stamp, owner_id=stamp.by, changes={"name": name})
            work.projects.save(project)
            for task in _tasks(project, stamp, label_ids):
                work.tasks.save(task.numbered(next(numbers)))
        work.timelines.save(Timeline.create(_id(_GARDEN), stamp, _plan(stamp.at.date())))
        try:
            await work.commit()
        except Conflict:
            # Another process may have been faster; any other conflict is an error.
            if not await _was_seeded(self.begin(actor)):
                raise
            return SeedReport(DEMO_EMAIL, is_new=False)
        return SeedReport(DEMO_EMAIL, is_new=True)

    async def _labels(self, work: UnitOfWork, stamp: Stamp) -> dict[str, str]:
        """The id of each label by name; missing labels are created."""
        ids = {name: label.id for name, label in (await work.labels.named(_LABELS)).items()}
        for name, color in _LABELS.items():
            if name not in ids:
                label = Label.create(self.identifiers.fresh(), stamp, {"name": name, "color": color})
                work.labels.save(label)
                ids[name] = label.id
        return ids


async def _new_user(work: UnitOfWork, stamp: Stamp) -> User:
    """The demo user. The first user of an empty installation is its administrator."""
    grants = (str(Grant.ADMIN),) if await work.users.is_empty() else ()
    return User.create(stamp.by, stamp, email=DEMO_EMAIL, name="Demo", grants=grants)


async def _was_seeded(work: UnitOfWork) -> bool:
    try:
        await work.projects.get(_id(_GARDEN))
    except Purged:
        return True
    except NotFound:
        return False
    return True


def _id(*names: str) -> str:
    """An id that is always the same, so that a second seeding finds the first."""
    return derived_id("demonstration", *names)


def _tasks(project: Project, stamp: Stamp, label_ids: dict[str, str]) -> Iterator[Task]:
    for sample in _SAMPLES[project.name]:
        changes = TaskChanges(
            title=sample.title,
            status=sample.status,
            priority=sample.priority,
            project_id=project.id,
            parent_id=None if sample.parent is None else _id(project.name, sample.parent),
            label_ids=tuple(label_ids[name] for name in sample.labels),
            due_at=None if sample.due_in_days is None else stamp.at + timedelta(days=sample.due_in_days),
        )
        yield Task.create(_id(project.name, sample.title), stamp, changes)


def _plan(today: date) -> Plan:
    def bar(id_: str, title: str, *, days: int, start: date | None = None) -> TimelineItem:
        return TimelineItem(id=id_, title=title, task_id=_id(_GARDEN, title), start=start, duration=days)

    items = (
        bar("permit", "Ask the council about the water line", days=5, start=today),
        bar("dig", "Dig the basin", days=4),
        bar("line", "Line the basin", days=2),
        bar("fill", "Fill and let it settle for a week", days=5),
        bar("plant", "Plant water lilies", days=1),
        TimelineItem(id="done", kind=ItemKind.MILESTONE, title="The pond is alive", duration=0),
    )
    order = [item.id for item in items]
    links = tuple(Dependency(from_=first, to=second) for first, second in pairwise(order))
    return Plan(items=items, dependencies=links, message="A first plan")
