"""Imports: the issues of another tracker as tasks of one project. An import may be repeated.

Ids follow from format, project and key: an interrupted import continues where it stopped, and a repeated one changes
nothing. A field that users have changed here since keeps their value, and a task in the trash stays there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from application.actor import Actor
from application.interchange.cleaning import cleaned
from application.interchange.drafts import Draft, Drafting, Elsewhere, ImportLabels
from application.interchange.labels import labels_of, save_new_labels
from application.interchange.merging import REMOVED, hidden_ids, merge_of
from application.interchange.receiving_project import receiving_project, require_receiving
from application.interchange.report import Fate, ImportReport, Outcome, Tally
from application.ports.display_numbers import DisplayNumbers
from application.ports.interchange import (
    CONTENT_BYTES_MAX,
    ImportedIssue,
    IssueReader,
    ReadIssues,
    UnfitIssue,
)
from application.ports.thread_executor import ThreadExecutor
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts
from application.tasks.changes import TaskWriter, retry_taken_numbers
from application.use_case import TimedUseCase
from domain.audit import Action
from domain.entity import Stamp
from domain.errors import Invalid, VersionConflict, Violation
from domain.name import normalized
from domain.project import Project
from domain.task import ownership_in

TASKS_PER_CHANGE_SET_MAX = 100

Progress = Callable[[int, int], None]
"""Called with the number of imported issues and their total."""
CHANGING = "it or its project is being changed here; import again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """A file, its format, and the name of the actor's project that receives it; a missing project is created.

    An issue that does not fit is skipped and reported; with `is_strict` it prevents the whole import.
    """

    content: bytes
    format: str
    project_name: str
    is_dry_run: bool = False
    is_strict: bool = False

    def require_size(self) -> None:
        """Raises Invalid for a file that is too large, before it is read or sent."""
        if len(self.content) > CONTENT_BYTES_MAX:
            raise Invalid(f"The file is larger than {CONTENT_BYTES_MAX // 2**20} MiB.")


@dataclass(frozen=True, slots=True)
class _Begun:
    """An import whose project and labels exist, with the drafts that follow."""

    project: Project
    is_new_project: bool
    new_labels: tuple[str, ...]
    drafts: Sequence[Draft]
    tally: Tally


def _concerns_tasks(conflict: VersionConflict, *_args: object, **_kwargs: object) -> bool:
    """Whether a task changed, and not its project or what permits the import."""
    return conflict.collection == "tasks"


@dataclass(frozen=True, slots=True)
class ImportIssues(TimedUseCase):
    """Imports a file. Raises Invalid with every violation of a file that contains no issue, or in a strict import one
    that does not fit; then nothing has been imported.

    The first change set stores project and labels, each further one at most TASKS_PER_CHANGE_SET_MAX tasks, parents
    before children. Raises Conflict if the project is in the trash.
    """

    readers: Mapping[str, IssueReader]
    numbers: DisplayNumbers
    executor: ThreadExecutor

    async def __call__(
        self, actor: Actor, request: ImportRequest, *, progress: Progress | None = None
    ) -> ImportReport:
        request = replace(request, project_name=normalized(request.project_name))
        # A large file takes seconds; other requests must not wait for it.
        read = await self.executor.run(lambda: self._read(request))
        # A claim belongs to one change set. An import has many, and may be repeated without a claim.
        actor = replace(actor, claim=None)
        stamp = self.stamp(actor)
        begun = await self._start(actor, request, read, stamp)
        tally, drafts = begun.tally, begun.drafts
        for done in range(0, len(drafts), TASKS_PER_CHANGE_SET_MAX):
            batch = drafts[done : done + TASKS_PER_CHANGE_SET_MAX]
            tally.count(await self._bring(actor, batch, stamp, is_dry_run=request.is_dry_run))
            if progress is not None:
                progress(done + len(batch), len(drafts))
        return ImportReport(
            format=request.format,
            project_id=begun.project.id,
            project_name=begun.project.name,
            is_dry_run=request.is_dry_run,
            is_new_project=begun.is_new_project,
            new_labels=begun.new_labels,
            fates=tally.fate_counts(),
            skipped=tuple(tally.skipped),
            lost=tally.loss_counts(),
        )

    def _read(self, request: ImportRequest) -> ReadIssues:
        reader = self.readers.get(request.format)
        if reader is None:
            raise Invalid(
                f"“{request.format}” is not a known format; use one of {', '.join(sorted(self.readers))}."
            )
        request.require_size()
        read = reader.read(request.content)
        _require_all_fit(request, read.unfit)
        return cleaned(read)

    @retry_conflicts()
    async def _start(self, actor: Actor, request: ImportRequest, read: ReadIssues, stamp: Stamp) -> _Begun:
        """Stores project and labels after every issue has become a draft."""
        work = self.begin(actor)
        project, is_new_project = await receiving_project(
            work, actor, stamp, format_name=request.format, name=request.project_name
        )
        labels = await labels_of(work, read.issues, project.id, stamp)
        tally = Tally()
        tally.lose(read.losses)
        drafting = Drafting(request.format, project.id, labels, stamp, ownership_in(project))
        elsewhere = await _elsewhere(work, actor, drafting, read.issues)
        drafts = await self.executor.run(lambda: drafting.drafts(read.issues, elsewhere))
        _require_all_fit(request, [*drafting.unfit, *_unfit_labels(labels)])
        tally.lose(drafting.losses)
        tally.count(_skipped(unfit) for unfit in (*read.unfit, *drafting.unfit))
        left_out = [issue.key for issue in read.issues if issue.key in elsewhere.gone]
        tally.count(Outcome(key, Fate.SKIPPED, REMOVED) for key in left_out)
        new_labels = await save_new_labels(
            work, actor, lambda: self.begin(actor), labels=labels, drafts=drafts
        )
        unused = frozenset(label.id for name, label in labels.new.items() if name not in new_labels)
        if not request.is_dry_run:
            await work.commit()
        drafts = [draft.without_labels(unused) for draft in drafts]
        return _Begun(project, is_new_project, new_labels, drafts, tally)

    async def _bring(
        self, actor: Actor, drafts: Sequence[Draft], stamp: Stamp, *, is_dry_run: bool
    ) -> list[Outcome]:
        """Stores a batch in one change set."""
        try:
            return await self._store(actor, drafts, stamp, is_dry_run=is_dry_run)
        except VersionConflict:
            # One of them is being changed: storing them one at a time finds it.
            return [await self._bring_one(actor, draft, stamp) for draft in drafts]

    async def _bring_one(self, actor: Actor, draft: Draft, stamp: Stamp) -> Outcome:
        """Stores one draft alone. A task that keeps changing is skipped."""
        try:
            return await self._store_alone(actor, draft, stamp)
        except VersionConflict:
            return Outcome(draft.issue.key, Fate.SKIPPED, CHANGING)

    @retry_conflicts()
    async def _store_alone(self, actor: Actor, draft: Draft, stamp: Stamp) -> Outcome:
        (outcome,) = await self._store(actor, [draft], stamp, is_dry_run=False)
        return outcome

    @retry_taken_numbers
    @retry_conflicts(unless=_concerns_tasks)
    async def _store(
        self, actor: Actor, drafts: Sequence[Draft], stamp: Stamp, *, is_dry_run: bool
    ) -> list[Outcome]:
        work = self.begin(actor)
        if not is_dry_run:
            drafts = await _with_present_ownership(work, actor, drafts)
        writer = TaskWriter(work, actor, stamp, self.numbers)
        merge = await merge_of(writer, drafts)
        merged = [await merge.take(draft) for draft in drafts]
        if not is_dry_run:
            changes = [change for change, _ in merged if change is not None]
            await writer.save_all(changes, action=Action.IMPORTED)
            await work.commit()
        return [outcome for _, outcome in merged]


def _require_all_fit(request: ImportRequest, unfit: Iterable[UnfitIssue]) -> None:
    """Raises Invalid in a strict import if something does not fit."""
    violations = [violation for each in unfit for violation in each.violations]
    if request.is_strict and violations:
        raise Invalid(
            "The file contains data that cannot be stored; nothing was imported.", violations=violations
        )


def _unfit_labels(labels: ImportLabels) -> Iterator[UnfitIssue]:
    for name, why in labels.unfit.items():
        yield UnfitIssue(name, [Violation("/labels", f"label “{name[:40]}”: {why}")])


def _skipped(unfit: UnfitIssue) -> Outcome:
    """The outcome. Every reason begins with the place in the file, which the outcome names once: in its key or in its
    first reason.
    """
    first, *others = [violation.message for violation in unfit.violations]
    place = first.partition(":")[0].partition(",")[0]
    reasons = [first, *(_without(place, other) for other in others)]
    if place == unfit.key:
        reasons[0] = _without(place, first)
    return Outcome(unfit.key, Fate.SKIPPED, "; ".join(reasons))


def _without(place: str, reason: str) -> str:
    return reason.removeprefix(f"{place}: ").removeprefix(f"{place}, ")


async def _with_present_ownership(work: UnitOfWork, actor: Actor, drafts: Sequence[Draft]) -> Sequence[Draft]:
    """The drafts with the present ownership of their project, which the commit checks again: a large import takes time.
    Raises as `require_receiving`.
    """
    project = await work.projects.get(drafts[0].project_id)
    await require_receiving(work, actor, project)
    work.projects.require_unchanged(project)
    return [draft.with_ownership(ownership_in(project)) for draft in drafts]


async def _removed_keys(
    work: UnitOfWork, drafting: Drafting, issues: Sequence[ImportedIssue]
) -> frozenset[str]:
    """The keys of issues, parents and linked issues whose tasks were permanently removed; none is created again."""
    keys = {issue.key for issue in issues} | _foreign(issues)
    ids = {key: drafting.task_id(key) for key in sorted(keys)}
    gone = await work.tasks.purged(ids.values())
    return frozenset(key for key, id_ in ids.items() if id_ in gone)


def _foreign(issues: Sequence[ImportedIssue]) -> set[str]:
    """The keys of parents and linked issues that are not in the file."""
    named = {link.key for issue in issues for link in issue.links}
    named |= {issue.parent_key for issue in issues if issue.parent_key}
    return named - {issue.key for issue in issues}


async def _elsewhere(
    work: UnitOfWork, actor: Actor, drafting: Drafting, issues: Sequence[ImportedIssue]
) -> Elsewhere:
    """What is known of the issues that earlier files contained, or whose tasks were permanently removed."""
    gone = await _removed_keys(work, drafting, issues)
    ids = {key: drafting.task_id(key) for key in _foreign(issues)}
    present = await work.tasks.get_many(ids.values()) if ids else {}
    hidden = await hidden_ids(work, actor, present.values())
    return Elsewhere(
        present=frozenset(key for key, id_ in ids.items() if id_ in present.keys() - hidden),
        hidden=frozenset(key for key, id_ in ids.items() if id_ in hidden),
        gone=gone,
    )
