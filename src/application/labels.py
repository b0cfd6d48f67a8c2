"""Labels: shared by everybody, changed by whoever made them."""

from dataclasses import dataclass

from application.actor import Actor
from application.authorization import require
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import Begin, UnitOfWork
from domain.entity import Stamp
from domain.label import Label, LabelChanges
from domain.permissions import may_change_label


async def _changeable_label(work: UnitOfWork, actor: Actor, id: str, expected_version: int | None) -> Label:
    label = await work.labels.get(id)
    require(may_change_label(actor.id, actor.grants, label))
    label.require_version(expected_version)
    return label


@dataclass(frozen=True, slots=True)
class CreateLabel:
    """A new label."""

    begin: Begin
    clock: Clock
    identifiers: Identifiers

    async def __call__(self, actor: Actor, changes: LabelChanges) -> Label:
        work = self.begin(actor)
        label = Label.create(self.identifiers.fresh(), Stamp(self.clock.now(), actor.id), changes)
        work.labels.save(label)
        await work.commit()
        return label


@dataclass(frozen=True, slots=True)
class GetLabel:
    """One label, also from the trash, also as it was."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Label:
        labels = self.begin(actor).labels
        return await (labels.get(id) if version is None else labels.at_version(id, version))


@dataclass(frozen=True, slots=True)
class ListLabels:
    """Labels, or the trashed ones."""

    begin: Begin

    async def __call__(
        self, actor: Actor, text: str | None, page: PageRequest, *, deleted: bool = False
    ) -> Page[Label]:
        return await self.begin(actor).labels.matching(text, page, deleted=deleted)


@dataclass(frozen=True, slots=True)
class EditLabel:
    """Changes fields of a label. `expected_version` None means whichever is current."""

    begin: Begin
    clock: Clock

    async def __call__(
        self, actor: Actor, id: str, changes: LabelChanges, *, expected_version: int | None
    ) -> Label:
        work = self.begin(actor)
        label = await _changeable_label(work, actor, id, expected_version)
        edited = label.edit(Stamp(self.clock.now(), actor.id), changes)
        work.labels.save(edited)
        await work.commit()
        return edited


@dataclass(frozen=True, slots=True)
class DeleteLabel:
    """Into the trash; tasks keep the reference, so that restoring heals them."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Label:
        work = self.begin(actor)
        label = await _changeable_label(work, actor, id, expected_version)
        deleted = label.delete(Stamp(self.clock.now(), actor.id))
        work.labels.save(deleted)
        await work.commit()
        return deleted


@dataclass(frozen=True, slots=True)
class RestoreLabel:
    """Out of the trash. Raises AlreadyExists where its name was taken meanwhile."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Label:
        work = self.begin(actor)
        label = await _changeable_label(work, actor, id, expected_version)
        restored = label.restore(Stamp(self.clock.now(), actor.id))
        work.labels.save(restored)
        await work.commit()
        return restored
