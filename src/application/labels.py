"""Labels: shared by everybody, changed by whoever made them."""

from dataclasses import dataclass

from application.access import require, without_teams
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import Begin, UnitOfWork
from application.trash import Delete, Kind, Restore
from domain.entity import Stamp
from domain.errors import Conflict
from domain.label import FIRST_LABELS, Label, LabelChanges, first_label_id
from domain.permissions import may_change_label


async def _changeable_label(work: UnitOfWork, actor: Actor, id: str) -> Label:
    label = await work.labels.get(id)
    require(may_change_label(without_teams(actor), label))
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
        label = await _changeable_label(work, actor, id)
        label.require_version(expected_version)
        edited = label.edit(Stamp(self.clock.now(), actor.id), changes)
        work.labels.save(edited)
        await work.commit()
        return edited


LABELS = Kind(collection="labels", of=lambda work: work.labels, reach=_changeable_label)


class DeleteLabel(Delete[Label]):
    """Into the trash; tasks keep the reference, so that restoring heals them."""

    kind = LABELS


class RestoreLabel(Restore[Label]):
    """Out of the trash. Raises AlreadyExists where its name was taken meanwhile."""

    kind = LABELS


@dataclass(frozen=True, slots=True)
class SeedLabels:
    """Gives a new installation, one in which nobody has signed in yet, its first labels in one change set. Those that
    were changed or removed since stay as they are, and a name that is taken stays with whoever has it.
    """

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor) -> None:
        work = self.begin(actor)
        stamp = Stamp(self.clock.now(), actor.id)
        for name in await _missing(work):
            label = Label.create(first_label_id(name), stamp, {"name": name, "color": FIRST_LABELS[name]})
            work.labels.save(label)
        try:
            await work.commit()
        except Conflict:
            # Another process may have been faster; anything else is worth telling.
            if await _missing(self.begin(actor)):
                raise


async def _missing(work: UnitOfWork) -> list[str]:
    """The names of first labels that never were in this installation; none once somebody has signed in."""
    if not await work.users.is_empty():
        return []
    ids = {name: first_label_id(name) for name in FIRST_LABELS}
    known = {*await work.labels.get_many(ids.values()), *await work.labels.purged(ids.values())}
    taken = await work.labels.named(ids)
    return [name for name, id_ in ids.items() if id_ not in known and name not in taken]
