from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.actor import Actor
from application.ports.unit_of_work import Begin
from application.retrying import RETRIES_MAX, retry_conflicts
from domain.errors import VersionConflict
from domain.label import Label
from tests.unit.builders import ANNA, actor, stamp
from tests.unit.memory_store import MemoryRecordStore

LABEL, OTHER_LABEL = "1" * 24, "2" * 24


@dataclass
class Rename:
    """Renames a label, and fails with these conflicts first, one at each attempt."""

    begin: Begin
    conflicts: list[VersionConflict] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    @retry_conflicts(unless="labels")
    async def __call__(
        self, actor: Actor, id: str, name: str, *, expected_version: int | None = None
    ) -> Label:
        return await self._rename(actor, id, name, expected_version)

    @retry_conflicts()
    async def whatever_happens(self, actor: Actor, id: str, name: str) -> Label:
        return await self._rename(actor, id, name, None)

    @retry_conflicts(unless=lambda conflict, _rename, _actor, ids, _name: conflict.entity_id in ids)
    async def one_of(self, actor: Actor, ids: Sequence[str], name: str) -> Label:
        return await self._rename(actor, ids[0], name, None)

    async def _rename(self, actor: Actor, id: str, name: str, expected_version: int | None) -> Label:
        work = self.begin(actor)
        label = await work.labels.get(id)
        self.seen.append(label.name)
        label.require_version(expected_version)
        if self.conflicts:
            other = self.begin(actor)
            changed = (await other.labels.get(id)).edit(stamp(), {"name": f"changed {len(self.conflicts)}"})
            other.labels.save(changed)
            await other.commit()
            raise self.conflicts.pop()
        renamed = label.edit(stamp(), {"name": name})
        work.labels.save(renamed)
        await work.commit()
        return renamed


def conflicts(
    count: int, *, entity_id: str = OTHER_LABEL, collection: str = "labels"
) -> list[VersionConflict]:
    return [VersionConflict(collection=collection, entity_id=entity_id) for _ in range(count)]


@pytest.fixture
async def rename() -> Rename:
    memory, identifiers = MemoryRecordStore(), SortableIdentifiers()

    def begin(actor: Actor) -> StoredUnitOfWork:
        return StoredUnitOfWork(memory, identifiers, actor)

    work = begin(actor(ANNA))
    work.labels.save(Label.create(LABEL, stamp(), {"name": "first"}))
    await work.commit()
    return Rename(begin)


async def test_every_attempt_reads_everything_again(rename: Rename) -> None:
    rename.conflicts = conflicts(RETRIES_MAX)
    renamed = await rename(actor(ANNA), LABEL, "last")
    assert rename.seen == ["first", "changed 3", "changed 2", "changed 1"]
    assert (renamed.name, renamed.version) == ("last", RETRIES_MAX + 2)


async def test_the_last_conflict_is_raised_once_the_retries_are_used_up(rename: Rename) -> None:
    rename.conflicts = [*conflicts(1, entity_id="3" * 24), *conflicts(RETRIES_MAX)]
    with pytest.raises(VersionConflict) as error:
        await rename(actor(ANNA), LABEL, "last")
    assert error.value.entity_id == "3" * 24
    assert len(rename.seen) == RETRIES_MAX + 1


async def test_a_conflict_about_the_named_entity_is_raised_at_once(rename: Rename) -> None:
    rename.conflicts = conflicts(1, entity_id=LABEL)
    with pytest.raises(VersionConflict):
        await rename(actor(ANNA), LABEL, "last")
    assert rename.seen == ["first"]


async def test_the_version_that_the_caller_named_is_not_retried(rename: Rename) -> None:
    with pytest.raises(VersionConflict) as error:
        await rename(actor(ANNA), LABEL, "last", expected_version=7)
    assert (error.value.current_version, rename.seen) == (1, ["first"])


async def test_an_entity_passed_by_keyword_counts_as_named(rename: Rename) -> None:
    rename.conflicts = conflicts(1, entity_id=LABEL)
    with pytest.raises(VersionConflict):
        await rename(actor(ANNA), name="last", id=LABEL)
    assert rename.seen == ["first"]


async def test_the_same_id_in_another_collection_is_retried(rename: Rename) -> None:
    rename.conflicts = conflicts(1, entity_id=LABEL, collection="tasks")
    assert (await rename(actor(ANNA), LABEL, "last")).name == "last"


async def test_without_an_exemption_every_conflict_is_retried(rename: Rename) -> None:
    rename.conflicts = conflicts(1, entity_id=LABEL)
    assert (await rename.whatever_happens(actor(ANNA), LABEL, "last")).name == "last"


async def test_a_predicate_decides_from_the_arguments_of_the_call(rename: Rename) -> None:
    rename.conflicts = conflicts(1, entity_id=OTHER_LABEL)
    with pytest.raises(VersionConflict):
        await rename.one_of(actor(ANNA), [LABEL, OTHER_LABEL], "last")
    rename.conflicts = conflicts(1, entity_id=OTHER_LABEL)
    assert (await rename.one_of(actor(ANNA), [LABEL], "last")).name == "last"


async def test_other_errors_are_raised_at_once() -> None:
    attempts: list[int] = []

    @retry_conflicts()
    async def fail() -> None:
        attempts.append(len(attempts))
        raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert attempts == [0]
