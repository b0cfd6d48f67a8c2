"""A mirror that is an older copy of itself: found at every moment, completed, and nothing else is believed."""

import pytest

from tests.model.exploration import explore
from tests.model.mirror_world import Marking, MirrorModel, Position, Rules, first_world, world_after_a_switch


@pytest.mark.parametrize("entries", [1, 2])
def test_no_restore_of_the_mirror_loses_an_entry(entries: int) -> None:
    model = MirrorModel(Rules())
    result = explore(first_world(entries), model.steps, model.violation)
    assert (result.violation, result.trace) == (None, ())
    assert result.states > 20


@pytest.mark.parametrize(
    ("rules", "entries"),
    [
        (Rules(position=Position.NEWEST_ID), 2),
        (Rules(position=Position.MARGIN), 3),
        (Rules(position=Position.COUNT), 2),
        (Rules(position=Position.COUNTER), 2),
        (Rules(position=Position.GIVEN_BEFORE), 2),
        (Rules(position=Position.DELETED), 2),
        (Rules(marking=Marking.ENTRY_FIRST), 1),
        (Rules(marking=Marking.SEEN_FIRST_UNCUT), 2),
        (Rules(cuts_first=False), 2),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else value.position.name + value.marking.name,
)
def test_an_unsound_variant_is_caught(rules: Rules, entries: int) -> None:
    model = MirrorModel(rules)
    assert explore(first_world(entries), model.steps, model.violation).violation is not None


@pytest.mark.parametrize("entries", [1, 2])
def test_no_restore_of_a_former_owner_loses_what_it_committed_itself(entries: int) -> None:
    model = MirrorModel(Rules())
    result = explore(world_after_a_switch(entries), model.steps, model.violation)
    assert (result.violation, result.trace) == (None, ())
    assert result.states > 4


def test_a_repair_without_the_origin_is_caught() -> None:
    model = MirrorModel(Rules(repairs_by_origin=False))
    assert explore(world_after_a_switch(1), model.steps, model.violation).violation == "entries [0] are lost"
