import pytest

from domain.errors import Conflict, RuleBroken
from domain.team import (
    MEMBER_ROLE_ID,
    NAME_LENGTH_MAX,
    OWNER_ROLE_ID,
    ROLES_MAX,
    Membership,
    Team,
    membership_id,
)
from tests.unit.builders import ANNA, BEN, numbered_id, stamp

TEAM = numbered_id(1)


def team() -> Team:
    return Team.create(TEAM, stamp(), owner_id=ANNA, changes={"name": "Gardeners"})


def membership() -> Membership:
    return Membership.create(stamp(), team_id=TEAM, user_id=BEN)


@pytest.mark.parametrize("name", ["", "  ", "x" * (NAME_LENGTH_MAX + 1), "a\x00b"])
def test_a_name_that_does_not_fit_is_refused_with_its_pointer(name: str) -> None:
    with pytest.raises(RuleBroken) as refusal:
        Team.create(TEAM, stamp(), owner_id=ANNA, changes={"name": name})
    assert {fault.pointer for fault in refusal.value.violations} == {"/name"}


def test_a_roll_back_brings_words_back_and_nobody() -> None:
    first = team()
    changed = first.edit(
        stamp(1), {"name": "Pond", "description": "Deep", "owner_id": BEN, "poc_id": BEN}
    ).revoke_invitations(stamp(2))
    back = changed.roll_back_to(first, stamp(3))
    assert (back.name, back.description, back.version) == ("Gardeners", None, 4)
    assert (back.owner_id, back.poc_id, back.invite_series) == (BEN, BEN, 2)


def test_what_is_in_the_trash_does_not_change() -> None:
    gone = team().delete(stamp(1))
    with pytest.raises(Conflict):
        gone.edit(stamp(2), {"name": "x"})
    with pytest.raises(Conflict):
        gone.revoke_invitations(stamp(2))
    with pytest.raises(Conflict):
        gone.roll_back_to(team(), stamp(2))


def test_a_team_cannot_lose_its_owner_nor_its_contact() -> None:
    spoken_for = team().edit(stamp(), {"poc_id": BEN})
    assert spoken_for.needs_member(ANNA)
    assert spoken_for.needs_member(BEN)
    assert not team().needs_member(BEN)


def test_nobody_is_a_member_twice() -> None:
    assert membership().id == membership_id(TEAM, BEN)
    assert membership_id(TEAM, BEN) != membership_id(BEN, TEAM)


def test_a_member_holds_exactly_one_role_of_membership_or_ownership() -> None:
    member = membership().with_role(stamp(), "f" * 24)
    owner = member.become_owner(stamp(1))
    assert set(member.role_ids) == {MEMBER_ROLE_ID, "f" * 24}
    assert set(owner.role_ids) == {OWNER_ROLE_ID, "f" * 24}
    assert set(owner.resign_ownership(stamp(2)).role_ids) == {MEMBER_ROLE_ID, "f" * 24}
    assert Membership.create(stamp(), team_id=TEAM, user_id=ANNA, owns=True).role_ids == (OWNER_ROLE_ID,)


def test_a_returning_member_has_the_member_role_alone() -> None:
    gone = membership().with_role(stamp(1), "f" * 24).leave(stamp(2))
    assert gone.is_deleted
    back = gone.rejoin(stamp(3))
    assert (back.is_deleted, back.role_ids, back.version) == (False, (MEMBER_ROLE_ID,), 4)


def test_roles_of_a_member_are_sorted_and_held_once() -> None:
    twice = membership().with_role(stamp(1), "0" * 24).with_role(stamp(2), "0" * 24)
    assert (twice.version, twice.role_ids) == (2, tuple(sorted((MEMBER_ROLE_ID, "0" * 24))))
    assert twice.without_role(stamp(3), "0" * 24).role_ids == (MEMBER_ROLE_ID,)


def test_nobody_holds_more_roles_than_the_bound() -> None:
    loaded = membership()
    for number in range(ROLES_MAX - 1):
        loaded = loaded.with_role(stamp(), numbered_id(number))
    with pytest.raises(Conflict):
        loaded.with_role(stamp(), "f" * 24)
    assert len(loaded.role_ids) == ROLES_MAX
