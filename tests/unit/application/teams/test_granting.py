import pytest

from application.actor import Actor, system_actor
from application.retrying import RETRIES_MAX
from application.teams.access import RolesHeld
from domain.errors import Conflict, Forbidden, NotFound, RuleBroken, VersionConflict
from domain.role import Permission, Role, RoleScope, built_in_id
from domain.team import MEMBER_ROLE_ID, OWNER_ROLE_ID
from tests.unit.application.clubhouse import (
    ADMIN,
    CARL,
    EVE,
    Clubhouse,
    admin,
    at_once,
    moderator,
)
from tests.unit.builders import ANNA, BEN, actor

ADMINISTRATOR = built_in_id(RoleScope.GLOBAL, "admin")
MODERATOR = built_in_id(RoleScope.GLOBAL, "moderator")
LEADER = built_in_id(RoleScope.TEAM, "admin")


async def _role(house: Clubhouse, name: str, *permissions: Permission) -> Role:
    return await house.now.new_role(admin(), RoleScope.TEAM, {"name": name, "permissions": permissions})


async def _grants(house: Clubhouse, user_id: str) -> tuple[str, ...]:
    return (await house.now.begin(actor()).users.get(user_id)).grants


async def test_a_global_role_is_held_as_grants_of_the_account(house: Clubhouse) -> None:
    granted = await house.now.grant_global(admin(), BEN, MODERATOR, expected_version=1)
    assert (granted.grants, granted.version) == (("moderator",), 2)
    same = await house.now.grant_global(admin(), BEN, MODERATOR, expected_version=None)
    assert same.version == 2
    taken = await house.now.take_global(admin(), BEN, MODERATOR, expected_version=2)
    assert (taken.grants, taken.version) == ((), 3)


async def test_a_role_with_both_permissions_gives_both_in_one_version(house: Clubhouse) -> None:
    both = (Permission.ADMINISTER, Permission.MODERATE)
    role = await house.now.new_role(admin(), RoleScope.GLOBAL, {"name": "chief", "permissions": both})
    granted = await house.now.grant_global(admin(), BEN, role.id, expected_version=None)
    assert (granted.grants, granted.version) == (("admin", "moderator"), 2)
    held = await house.now.held(actor(BEN), BEN)
    assert held.global_roles is not None
    assert [one.name for one in held.global_roles] == ["admin", "chief", "moderator"]


async def test_global_roles_are_given_and_taken_by_administrators_only(house: Clubhouse) -> None:
    before = await house.stored()
    for refused in (actor(), moderator()):
        with pytest.raises(Forbidden):
            await house.now.grant_global(refused, refused.id, ADMINISTRATOR, expected_version=None)
        with pytest.raises(Forbidden):
            await house.now.take_global(refused, ADMIN, ADMINISTRATOR, expected_version=None)
    assert await house.stored() == before


async def test_a_role_of_the_wrong_scope_version_or_none_is_refused(house: Clubhouse) -> None:
    made = await house.team(BEN)
    before = await house.stored()
    for attempt in (
        lambda: house.now.grant_global(admin(), BEN, LEADER, expected_version=None),
        lambda: house.now.take_global(admin(), BEN, LEADER, expected_version=None),
        lambda: house.now.grant(actor(), made.id, BEN, MODERATOR),
        lambda: house.now.take(actor(), made.id, BEN, MODERATOR),
    ):
        with pytest.raises(RuleBroken):
            await attempt()
    with pytest.raises(NotFound):
        await house.now.grant_global(admin(), BEN, "f" * 24, expected_version=None)
    with pytest.raises(NotFound):
        await house.now.grant_global(admin(), "f" * 24, MODERATOR, expected_version=None)
    with pytest.raises(VersionConflict):
        await house.now.grant_global(admin(), BEN, MODERATOR, expected_version=7)
    assert await house.stored() == before


async def test_an_administrator_who_is_renamed_meanwhile_still_grants_and_takes(house: Clubhouse) -> None:
    for change, left in (
        (house.crossed.grant_global, ("moderator",)),
        (house.crossed.take_global, ()),
    ):
        house.cross(lambda: house.rename(ADMIN), times=RETRIES_MAX)
        await change(admin(), BEN, MODERATOR, expected_version=None)
        assert (house.times, await _grants(house, BEN)) == (0, left)


async def test_what_a_grantee_became_meanwhile_stays(house: Clubhouse) -> None:
    house.cross(lambda: house.rename(BEN))
    with pytest.raises(VersionConflict):
        await house.crossed.grant_global(admin(), BEN, MODERATOR, expected_version=1)
    assert await _grants(house, BEN) == ()


async def test_a_role_that_is_retired_meanwhile_is_granted_to_nobody(house: Clubhouse) -> None:
    permissions = (Permission.MODERATE,)
    role = await house.now.new_role(admin(), RoleScope.GLOBAL, {"name": "host", "permissions": permissions})
    house.cross(lambda: house.now.delete_role(admin(), role.id, expected_version=None))
    with pytest.raises(NotFound):
        await house.crossed.grant_global(admin(), BEN, role.id, expected_version=None)
    assert await _grants(house, BEN) == ()


async def test_the_last_administrator_stays(house: Clubhouse) -> None:
    before = await house.stored()
    with pytest.raises(Conflict):
        await house.now.take_global(admin(), ADMIN, ADMINISTRATOR, expected_version=None)
    assert await house.stored() == before
    await house.now.grant_global(admin(), BEN, ADMINISTRATOR, expected_version=None)
    await house.now.take_global(admin(), ADMIN, ADMINISTRATOR, expected_version=None)
    with pytest.raises(Conflict):
        await house.now.take_global(actor(BEN, admin=True), BEN, ADMINISTRATOR, expected_version=None)
    assert (await _grants(house, ADMIN), await _grants(house, BEN)) == ((), ("admin",))


async def test_administrators_who_dismiss_each_other_at_once_leave_one(house: Clubhouse) -> None:
    everybody = (ADMIN, BEN, CARL)
    for _ in range(10):
        for id in everybody:
            await house.now.grant_global(system_actor("start"), id, ADMINISTRATOR, expected_version=None)
        refused = await at_once(
            *(
                house.crossed.take_global(admin(), id, ADMINISTRATOR, expected_version=None)
                for id in everybody
            )
        )
        left = [id for id in everybody if "admin" in await _grants(house, id)]
        assert left
        assert len(left) == len(refused)
        # The last one stays; who was dismissed himself dismisses nobody any more.
        assert all(isinstance(one, Conflict | Forbidden) for one in refused)


async def test_roles_are_shown_to_whom_they_concern(house: Clubhouse) -> None:
    shared, other = await house.team(BEN, CARL), await house.team(BEN)
    await house.now.grant(actor(), shared.id, BEN, LEADER)
    await house.now.grant_global(admin(), BEN, MODERATOR, expected_version=None)

    def told(held: RolesHeld) -> tuple[list[str] | None, dict[str, list[str]]]:
        of_all = None if held.global_roles is None else [one.name for one in held.global_roles]
        return of_all, {one.team_id: sorted(role.name for role in one.roles) for one in held.teams}

    everything = {shared.id: ["admin", "member"], other.id: ["member"]}
    assert told(await house.now.held(actor(BEN), BEN)) == (["moderator"], everything)
    assert told(await house.now.held(admin(), BEN)) == (["moderator"], everything)
    assert told(await house.now.held(moderator(), BEN)) == (None, everything)
    assert told(await house.now.held(actor(CARL), BEN)) == (None, {shared.id: ["admin", "member"]})
    with pytest.raises(Forbidden):
        await house.now.held(actor(EVE), BEN)
    with pytest.raises(NotFound):
        await house.now.held(admin(), "f" * 24)
    assert told(await house.now.held(actor(EVE), EVE)) == ([], {})


async def test_a_team_role_counts_from_its_grant_to_its_end(house: Clubhouse) -> None:
    made = await house.team(BEN)
    role = await _role(house, "namer", Permission.CHANGE_TEAM)

    async def rename(name: str) -> None:
        await house.now.edit(actor(BEN), made.id, {"name": name}, expected_version=None)

    with pytest.raises(Forbidden):
        await rename("early")
    await house.now.grant(actor(), made.id, BEN, role.id)
    await rename("Pond")
    await house.now.take(actor(), made.id, BEN, role.id)
    with pytest.raises(Forbidden):
        await rename("late")
    await house.now.grant(actor(), made.id, BEN, role.id)
    await house.now.delete_role(admin(), role.id, expected_version=None)
    with pytest.raises(Forbidden):
        await rename("retired")
    await house.now.take(actor(), made.id, BEN, role.id)
    assert (await house.membership(made, BEN)).role_ids == (MEMBER_ROLE_ID,)
    with pytest.raises(NotFound):
        await house.now.grant(actor(), made.id, BEN, role.id)


async def test_granting_twice_and_taking_what_is_not_held_change_nothing(house: Clubhouse) -> None:
    made = await house.team(BEN)
    await house.now.grant(actor(), made.id, BEN, LEADER)
    before = await house.stored()
    await house.now.grant(actor(), made.id, BEN, LEADER)
    await house.now.take(actor(), made.id, ANNA, LEADER)
    assert await house.stored() == before


async def test_nobody_grants_or_takes_what_he_does_not_hold(house: Clubhouse) -> None:
    made = await house.team(BEN, CARL)
    granter = await _role(house, "granter", Permission.GRANT_ROLES)
    namer = await _role(house, "namer", Permission.CHANGE_TEAM)
    await house.now.grant(actor(), made.id, BEN, granter.id)
    await house.now.grant(actor(), made.id, CARL, namer.id)
    before = await house.stored()
    refused: list[tuple[Actor, str, str]] = [
        (actor(BEN), CARL, LEADER),
        (actor(BEN), BEN, LEADER),
        (actor(BEN), BEN, namer.id),
        (actor(CARL), BEN, namer.id),
        (moderator(), BEN, namer.id),
    ]
    for who, whom, role_id in refused:
        with pytest.raises(Forbidden):
            await house.now.grant(who, made.id, whom, role_id)
        with pytest.raises(Forbidden):
            await house.now.take(who, made.id, whom, role_id)
    with pytest.raises(NotFound):
        await house.now.grant(actor(EVE), made.id, EVE, LEADER)
    assert await house.stored() == before
    await house.now.grant(actor(BEN), made.id, CARL, granter.id)
    await house.now.grant(admin(), made.id, CARL, LEADER)
    assert {granter.id, LEADER} < set((await house.membership(made, CARL)).role_ids)


async def test_what_somebody_holds_elsewhere_counts_nothing_here(house: Clubhouse) -> None:
    here = await house.team(BEN)
    there = await house.now.create(actor(BEN), {"name": "Elsewhere"})
    before = await house.stored()
    with pytest.raises(Forbidden):
        await house.now.grant(actor(BEN), here.id, BEN, LEADER)
    with pytest.raises(NotFound):
        await house.now.grant(actor(), there.id, BEN, LEADER)
    assert await house.stored() == before


@pytest.mark.parametrize("role_id", [OWNER_ROLE_ID, MEMBER_ROLE_ID])
async def test_what_comes_with_the_team_is_not_granted_by_hand(house: Clubhouse, role_id: str) -> None:
    made = await house.team(BEN)
    before = await house.stored()
    for who in (actor(), admin()):
        for user_id in (ANNA, BEN):
            with pytest.raises(Conflict):
                await house.now.grant(who, made.id, user_id, role_id)
            with pytest.raises(Conflict):
                await house.now.take(who, made.id, user_id, role_id)
    assert await house.stored() == before


async def test_only_members_hold_roles_in_a_team(house: Clubhouse) -> None:
    made = await house.team(BEN)
    await house.now.remove(actor(), made.id, BEN)
    before = await house.stored()
    for user_id in (EVE, BEN):
        with pytest.raises(NotFound):
            await house.now.grant(actor(), made.id, user_id, LEADER)
    assert await house.stored() == before


async def test_a_role_that_grows_meanwhile_is_not_granted_by_who_holds_less(house: Clubhouse) -> None:
    made = await house.team(BEN, CARL)
    await house.now.grant(actor(), made.id, BEN, (await _role(house, "granter", Permission.GRANT_ROLES)).id)
    harmless = await _role(house, "harmless")
    house.cross(
        lambda: house.now.edit_role(
            admin(), harmless.id, {"permissions": (Permission.CHANGE_TEAM,)}, expected_version=None
        )
    )
    with pytest.raises(Forbidden):
        await house.crossed.grant(actor(BEN), made.id, CARL, harmless.id)
    assert (await house.membership(made, CARL)).role_ids == (MEMBER_ROLE_ID,)


async def test_who_loses_the_right_meanwhile_grants_nothing(house: Clubhouse) -> None:
    made = await house.team(BEN, CARL)
    await house.now.grant(actor(), made.id, BEN, LEADER)
    house.cross(lambda: house.now.take(actor(), made.id, BEN, LEADER))
    with pytest.raises(Forbidden):
        await house.crossed.grant(actor(BEN), made.id, CARL, LEADER)
    await house.now.grant(actor(), made.id, BEN, LEADER)
    house.cross(lambda: house.now.remove(actor(), made.id, BEN))
    with pytest.raises(NotFound):
        await house.crossed.grant(actor(BEN), made.id, CARL, LEADER)
    assert (await house.membership(made, CARL)).role_ids == (MEMBER_ROLE_ID,)


async def test_who_was_dismissed_cannot_take_his_role_back_with_an_old_token(house: Clubhouse) -> None:
    for id in (ADMIN, BEN):
        await house.now.grant_global(system_actor("start"), id, ADMINISTRATOR, expected_version=None)
    await house.now.take_global(admin(), BEN, ADMINISTRATOR, expected_version=None)

    with pytest.raises(Forbidden):
        await house.now.grant_global(actor(BEN, admin=True), BEN, ADMINISTRATOR, expected_version=None)
    with pytest.raises(Forbidden):
        await house.now.take_global(actor(BEN, admin=True), ADMIN, ADMINISTRATOR, expected_version=None)
    assert "admin" not in await _grants(house, BEN)
    assert "admin" in await _grants(house, ADMIN)


async def test_a_version_that_is_passed_meanwhile_is_not_written_over(house: Clubhouse) -> None:
    made = await house.team(BEN)
    planner = await house.now.new_role(admin(), RoleScope.TEAM, {"name": "planner", "permissions": ()})
    seen = (await house.membership(made, BEN)).version
    house.cross(lambda: house.now.grant(actor(), made.id, BEN, planner.id))
    with pytest.raises(VersionConflict):
        await house.crossed.grant(actor(), made.id, BEN, LEADER, expected_version=seen)
    house.cross(lambda: house.now.take(actor(), made.id, BEN, planner.id))
    with pytest.raises(VersionConflict):
        await house.crossed.remove(actor(), made.id, BEN, expected_version=seen + 1)
    membership = await house.membership(made, BEN)
    assert (membership.role_ids, membership.is_deleted) == ((MEMBER_ROLE_ID,), False)
