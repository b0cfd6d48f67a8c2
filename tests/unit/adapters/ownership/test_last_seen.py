"""The file `last-seen`: what it remembers across processes, outages and damage."""

import json
from pathlib import Path

import pytest

from adapters.ownership.last_seen import LANES_MAX, LastSeen
from adapters.ownership.refusals import DamagedFile, WritesRefused
from adapters.records.lanes import Lane, Positions, ProcessIdentity
from adapters.records.record_store import StoreRefused
from tests.unit.adapters.ownership.world import Database, Service, World, world_in_memory

HERE = "installation-1"


def positions(**numbers: int) -> Positions:
    by = ProcessIdentity("p", "h", "b", 1)
    return Positions(
        {
            int(name[1:]): Lane(
                lane=int(name[1:]),
                number=number,
                is_open=True,
                epoch=1,
                opening="",
                by=by,
                silent_seconds=0.0,
            )
            for name, number in numbers.items()
        }
    )


def test_two_processes_add_their_lanes_to_one_file(tmp_path: Path) -> None:
    first, second = LastSeen(tmp_path), LastSeen(tmp_path)
    first.note({1: 5}, installation=HERE)
    second.note({2: 7}, installation=HERE)
    assert first.is_ahead_of(positions(_1=4, _2=7), installation=HERE)
    assert first.is_ahead_of(positions(_1=5, _2=6), installation=HERE)
    assert not first.is_ahead_of(positions(_1=5, _2=7), installation=HERE)


def test_numbers_only_rise(tmp_path: Path) -> None:
    last_seen = LastSeen(tmp_path)
    last_seen.note({1: 5}, installation=HERE)
    last_seen.note({1: 3}, installation=HERE)
    assert last_seen.is_ahead_of(positions(_1=4), installation=HERE)


def test_what_is_vouched_for_is_forgotten(tmp_path: Path) -> None:
    last_seen = LastSeen(tmp_path)
    last_seen.note({1: 5, 2: 2}, installation=HERE)
    last_seen.forget_beyond(positions(_1=4, _2=2), installation=HERE)
    assert not last_seen.is_ahead_of(positions(_1=4, _2=2), installation=HERE)
    assert last_seen.is_ahead_of(positions(_1=4, _2=1), installation=HERE)


def test_the_file_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    last_seen = LastSeen(tmp_path)
    last_seen.note(dict.fromkeys(range(1, LANES_MAX + 1), 1), installation=HERE)
    last_seen.note({5_000: 9}, installation=HERE)
    kept = json.loads((tmp_path / "last-seen").read_text())["lanes"]
    assert len(kept) == LANES_MAX
    assert kept["5000"] == 9


def test_an_only_store_is_known_by_its_name_and_a_source_with_a_target_by_any(tmp_path: Path) -> None:
    last_seen = LastSeen(tmp_path)
    last_seen.note({}, installation=HERE, only_store="monty")
    assert (last_seen.installation("monty"), last_seen.installation("postgres")) == (HERE, None)
    last_seen.note({1: 5}, installation=HERE)
    assert (last_seen.installation("monty"), last_seen.installation("postgres")) == (HERE, HERE)


def test_another_installation_is_no_evidence(tmp_path: Path) -> None:
    last_seen = LastSeen(tmp_path)
    last_seen.note({1: 5}, installation="other")
    assert not last_seen.is_ahead_of(positions(), installation=HERE)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"installation": "a"}', '{"lanes": {"x": 1}}', "\x00\x00"]
)
def test_a_damaged_file_is_not_taken_for_a_first_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "last-seen").write_text(content)
    last_seen = LastSeen(tmp_path)
    with pytest.raises(DamagedFile, match="last-seen"):
        last_seen.installation("source")
    with pytest.raises(DamagedFile, match="remove the file"):
        last_seen.is_ahead_of(positions(), installation=HERE)


async def test_an_empty_source_beside_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last-seen").write_text("")
    with pytest.raises(StoreRefused, match="damaged"):
        await Service(await world_in_memory(tmp_path), "first").start()


async def test_an_empty_source_of_a_known_installation_is_refused_without_the_target(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await Service(world, "first").start()
    await service.write(1)
    await service.stop()
    world.target.is_down = True
    with pytest.raises(StoreRefused, match="has served an installation before"):
        await _restarted(world, (await Database().opened()).copied())


async def test_the_file_follows_the_writes_while_the_target_is_down(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await Service(world, "first").start()
    await service.mirror(await service.write(1))
    older = world.source.copied()
    world.target.is_down = True
    await service.write(2)
    await world.pass_time(2, service)
    restored = await _restarted(world, older)
    with pytest.raises(WritesRefused, match="--alone"):
        await restored.write(3)


async def test_the_operator_may_vouch_for_an_older_source_once(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await Service(world, "first").start()
    older = world.source.copied()
    await service.write(1)
    await service.stop()
    world.target.is_down = True
    alone = await _restarted(world, older, is_alone=True)
    await alone.write(2)
    await alone.stop()
    following = await Service(world, "third").start()
    await following.write(3)


async def _restarted(world: World, older: object, *, is_alone: bool = False) -> Service:
    """The next process over a source that was put back."""
    source = await Database().opened()
    source.put_back(older)  # type: ignore[arg-type]
    world.source = source
    return await Service(world, "second", is_alone=is_alone).start()
