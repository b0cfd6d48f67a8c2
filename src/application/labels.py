"""Labels: everybody uses them, their creators change them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from application.access import require, without_teams
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import UnitOfWork
from application.trash import Delete, ResourceType, Restore
from application.use_case import TimedUseCase, UseCase
from domain.errors import AlreadyExists, Conflict
from domain.label import FIRST_LABELS, Label, LabelChanges, first_label_id
from domain.permissions import may_change_label


@contextmanager
def _naming_the_field(remedy: str = "") -> Iterator[None]:
    """Blames the name where its key is taken: callers send only the name."""
    try:
        yield
    except AlreadyExists as taken:
        if "nameKey" not in taken.fields:
            raise
        raise AlreadyExists(
            f"There is already a label of this name; case makes no difference.{remedy}", fields=("name",)
        ) from taken


async def _changeable_label(work: UnitOfWork, actor: Actor, id: str) -> Label:
    label = await work.labels.get(id)
    require(may_change_label(without_teams(actor), label))
    return label


@dataclass(frozen=True, slots=True)
class CreateLabel(TimedUseCase):
    """Creates a label."""

    identifiers: Identifiers

    async def __call__(self, actor: Actor, changes: LabelChanges) -> Label:
        work = self.begin(actor)
        label = Label.create(self.identifiers.fresh(), self.stamp(actor), changes)
        work.labels.save(label)
        with _naming_the_field():
            await work.commit()
        return label


class GetLabel(UseCase):
    """One label, live or in the trash, at present or at an earlier version."""

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Label:
        labels = self.begin(actor).labels
        return await (labels.get(id) if version is None else labels.at_version(id, version))


class ListLabels(UseCase):
    """Live labels, or those in the trash."""

    async def __call__(
        self, actor: Actor, text: str | None, page: PageRequest, *, deleted: bool = False
    ) -> Page[Label]:
        return await self.begin(actor).labels.matching(text, page, deleted=deleted)


class EditLabel(TimedUseCase):
    """Changes fields of a label. `expected_version` None accepts any version."""

    async def __call__(
        self, actor: Actor, id: str, changes: LabelChanges, *, expected_version: int | None
    ) -> Label:
        work = self.begin(actor)
        label = await _changeable_label(work, actor, id)
        label.require_version(expected_version)
        edited = label.edit(self.stamp(actor), changes)
        work.labels.save(edited)
        with _naming_the_field():
            await work.commit()
        return edited


LABELS = ResourceType(
    collection="labels", repository=lambda work: work.labels, load_for_change=_changeable_label
)


class DeleteLabel(Delete[Label]):
    """Moves a label to the trash; tasks keep their references to it, so it can be restored."""

    resource = LABELS


class RestoreLabel(Restore[Label]):
    """Restores a label. Raises AlreadyExists if another label has taken its name."""

    resource = LABELS

    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Label:
        with _naming_the_field(" Rename that one, then restore this one."):
            return await super().__call__(actor, id, expected_version=expected_version)


class SeedLabels(TimedUseCase):
    """Creates the first labels of an installation in which nobody has signed in yet, in one change set. Labels that
    were changed or removed stay so, and names that are taken are left out.
    """

    async def __call__(self, actor: Actor) -> None:
        work = self.begin(actor)
        stamp = self.stamp(actor)
        for name in await _missing(work):
            label = Label.create(first_label_id(name), stamp, {"name": name, "color": FIRST_LABELS[name]})
            work.labels.save(label)
        try:
            await work.commit()
        except Conflict:
            # Another process may have been faster; any other conflict is an error.
            if await _missing(self.begin(actor)):
                raise


async def _missing(work: UnitOfWork) -> list[str]:
    """The names of the first labels that this installation never had; none if somebody has signed in."""
    if not await work.users.is_empty():
        return []
    ids = {name: first_label_id(name) for name in FIRST_LABELS}
    known = {*await work.labels.get_many(ids.values()), *await work.labels.purged(ids.values())}
    taken = await work.labels.named(ids)
    return [name for name, id_ in ids.items() if id_ not in known and name not in taken]
