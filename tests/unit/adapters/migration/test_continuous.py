"""The continuous verification keeps a horizon, and never one for what was not compared."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.migration.continuous import PASS_EVERY, Continuous
from adapters.migration.evidence import keep_evidence, load_evidence, load_horizon
from adapters.migration.in_flight import Patience
from adapters.migration.recheck import point_of
from adapters.migration.verification import FULL, Verifier
from adapters.ownership.control import Ownership, Peer
from adapters.records.change_set import ChangeSet, Put
from application.ports.migration import Verification
from domain.migration import Phase
from tests.unit.adapters.migration.move_world import MovingService
from tests.unit.adapters.migration.pair import StepClock
from tests.unit.adapters.ownership.world import World, world_in_memory
from tests.unit.contracts.builders import numbered_id

QUICK = Patience(first_pause_seconds=0.001, pause_seconds_max=0.005, seconds_max=0.05)


class _Installation:
    """Two stores that mirror, with one process that verifies."""

    def __init__(self, world: World, service: MovingService) -> None:
        self.world, self.service = world, service
        self.clock = StepClock()
        self.owner = replace(Ownership.of_owner("monty"), phase=Phase.BACKFILLED, peer=Peer("postgres", 1))
        self.continuous = Continuous(
            service.raw_source,
            service.raw_target,
            owned=service.source,
            change=self._change,
            clock=self.clock,
            rate=20_000,
        )

    async def _change(self, changed: Callable[[Ownership], Ownership]) -> Ownership:
        self.owner = changed(self.owner)
        return self.owner

    async def passed(self) -> Verification | None:
        """The evidence after a tick and the pass that it may have begun."""
        await self.continuous.tick()
        await self.continuous.until_passed()
        return await load_evidence(self.service.source)

    async def mirror(self, *numbers: int) -> None:
        await self.service.mirror(await self.service.write(*numbers))

    async def edit(self, number: int) -> None:
        store = self.world.target.store
        (record,) = (await store.fetch("tasks", [numbered_id(number)])).values()
        await store.commit(ChangeSet((Put("tasks", {**record, "title": "By hand"}, record["version"]),)))


@pytest.fixture
async def installation() -> AsyncIterator[_Installation]:
    world = await world_in_memory()
    service = await MovingService(world, "one").start()
    made = _Installation(world, service)
    await made.mirror(1, 2, 3)
    yield made
    await made.continuous.stop()


async def test_a_pass_is_evidence_and_what_follows_moves_the_horizon(installation: _Installation) -> None:
    first = await installation.passed()
    assert first is not None
    assert (first.is_clean, first.mode) == (True, "continuous")
    await installation.mirror(4, 5)
    assert await installation.passed() == first
    horizon = await load_horizon(installation.service.source, first)
    assert horizon is not None
    assert horizon.at > first.ended_at


async def test_a_changed_record_ends_the_evidence_at_once(installation: _Installation) -> None:
    first = await installation.passed()
    assert first is not None
    installation.owner = replace(installation.owner, phase=Phase.VERIFIED)
    await installation.mirror(4)
    await installation.edit(4)
    await installation.continuous.tick()
    assert installation.owner.phase is Phase.BACKFILLED
    found = await load_evidence(installation.service.source)
    assert found is not None
    assert [(one.id, one.fields) for one in found.differences] == [(numbered_id(4), ("title",))]
    assert (found.difference_count, found.started_at) == (1, first.started_at)
    again = await installation.passed()
    assert again is not None
    assert (again.difference_count, again.started_at > first.started_at) == (1, True)


async def test_records_that_arrived_late_are_compared_again_soon(installation: _Installation) -> None:
    late = await installation.service.write(4)
    source, target = installation.service.raw_source, installation.service.raw_target
    point = await point_of(source, target, at=installation.clock.now())
    verifier = Verifier(source, target, clock=installation.clock, patience=QUICK)
    found = await verifier.verify(lambda _: None, incarnation=1, epoch=installation.owner.since)
    await keep_evidence(installation.service.source, replace(found, started_at=point.at), point)
    assert found.difference_count > 0
    assert await installation.passed() == replace(found, started_at=point.at)
    await installation.service.mirror(late)
    again = await installation.passed()
    assert again is not None
    assert again.is_clean


async def test_what_lies_still_is_found_by_the_next_pass(installation: _Installation) -> None:
    assert (await installation.passed()) is not None
    await installation.edit(2)
    await installation.continuous.tick()
    unnoticed = await load_evidence(installation.service.source)
    assert unnoticed is not None
    assert unnoticed.is_clean
    installation.clock._now += PASS_EVERY
    await installation.passed()
    found = await load_evidence(installation.service.source)
    assert found is not None
    assert [one.id for one in found.differences] == [numbered_id(2)]


async def test_what_is_on_its_way_leaves_the_horizon_where_it_is(installation: _Installation) -> None:
    evidence = await installation.passed()
    assert evidence is not None
    before = await load_horizon(installation.service.source, evidence)
    written = await installation.service.write(4)
    await installation.continuous.tick()
    assert await load_horizon(installation.service.source, evidence) == before
    await installation.service.mirror(written)
    await installation.continuous.tick()
    after = await load_horizon(installation.service.source, evidence)
    assert before is not None
    assert after is not None
    assert after.at > before.at


@pytest.mark.parametrize("phase", [Phase.MIRRORING, Phase.FINISHED])
async def test_nothing_is_compared_where_that_says_nothing(installation: _Installation, phase: Phase) -> None:
    installation.owner = replace(installation.owner, phase=phase)
    assert await installation.passed() is None


async def test_evidence_of_another_incarnation_is_replaced(installation: _Installation) -> None:
    first = await installation.passed()
    installation.owner = replace(installation.owner, peer=Peer("postgres", 2))
    second = await installation.passed()
    assert first is not None
    assert second is not None
    assert (first.incarnation, second.incarnation) == (1, 2)


async def test_a_pass_does_not_replace_a_newer_verification(installation: _Installation) -> None:
    service = installation.service
    await installation.continuous.tick()
    at = installation.clock.now() + timedelta(seconds=50)
    point = await point_of(service.raw_source, service.raw_target, at=at)
    verifier = Verifier(service.raw_source, service.raw_target, clock=installation.clock, patience=QUICK)
    full = replace(await verifier.verify(lambda _: None, incarnation=1, epoch=1), started_at=at)
    await keep_evidence(service.source, full, point)
    await installation.continuous.until_passed()
    kept = await load_evidence(service.source)
    assert kept is not None
    assert (kept.mode, kept.started_at) == (FULL, at)
