import pytest

from application.actor import Actor, system_actor
from application.retrying import RETRIES_MAX
from application.teams.access import RolesHeld
from domain.errors import Conflict, Forbidden, NotFound, RuleBroken, VersionConflict
from domain.role import Permission, Role, RoleScope, built_in_id
from domain.team import MEMBER_ROLE_ID, OWNER_ROLE_ID
from tests.unit.application.team_fixture import (
    ADMIN,
    CARL,
    EVE,
    TeamFixture,
    admin,
    at_once,
    moderator,
)
from tests.unit.builders import ANNA, BEN, actor

ADMINISTRATOR = built_in_id(RoleScope.GLOBAL, "admin")
MODERATOR = built_in_id(RoleScope.GLOBAL, "moderator")
LEADER = built_in_id(RoleScope.TEAM, "admin")


async def _role(fixture: TeamFixture, name: str, *permissions: Permission) -> Role:
    return await fixture.now.new_role(admin(), RoleScope.TEAM, {"name": name, "permissions": permissions})


async def _grants(fixture: TeamFixture, user_id: str) -> tuple[str, ...]:
    return (await fixture.now.begin(actor()).users.get(user_id)).grants


async def test_a_global_role_is_held_as_grants_of_the_account(fixture: TeamFixture) -> None:
    granted = await fixture.now.grant_global(admin(), BEN, MODERATOR, expected_version=1)
    assert (granted.grants, granted.version) == (("moderator",), 2)
    same = await fixture.now.grant_global(admin(), BEN, MODERATOR, expected_version=None)
    assert same.version == 2
    taken = await fixture.now.take_global(admin(), BEN, MODERATOR, expected_version=2)
    assert (taken.grants, taken.version) == ((), 3)


async def test_a_role_with_both_permissions_gives_both_in_one_version(fixture: TeamFixture) -> None:
    both = (Permission.ADMINISTER, Permission.MODERATE)
    role = await fixture.now.new_role(admin(), RoleScope.GLOBAL, {"name": "chief", "permissions": both})
    granted = await fixture.now.grant_global(admin(), BEN, role.id, expected_version=None)
    assert (granted.grants, granted.version) == (("admin", "moderator"), 2)
    held = await fixture.now.held(actor(BEN), BEN)
    assert held.global_roles is not None
    assert [one.name for one in held.global_roles] == ["admin", "chief", "moderator"]


async def test_global_roles_are_given_and_taken_by_administrators_only(fixture: TeamFixture) -> None:
    before = await fixture.stored()
    for refused in (actor(), moderator()):
        with pytest.raises(Forbidden):
            await fixture.now.grant_global(refused, refused.id, ADMINISTRATOR, expected_version=None)
        with pytest.raises(Forbidden):
            await fixture.now.take_global(refused, ADMIN, ADMINISTRATOR, expected_version=None)
    assert await fixture.stored() == before


async def test_a_role_of_the_wrong_scope_version_or_none_is_refused(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    before = await fixture.stored()
    for attempt in (
        lambda: fixture.now.grant_global(admin(), BEN, LEADER, expected_version=None),
        lambda: fixture.now.take_global(admin(), BEN, LEADER, expected_version=None),
        lambda: fixture.now.grant(actor(), made.id, BEN, MODERATOR),
        lambda: fixture.now.take(actor(), made.id, BEN, MODERATOR),
    ):
        with pytest.raises(RuleBroken):
            await attempt()
    with pytest.raises(NotFound):
        await fixture.now.grant_global(admin(), BEN, "f" * 24, expected_version=None)
    with pytest.raises(NotFound):
        await fixture.now.grant_global(admin(), "f" * 24, MODERATOR, expected_version=None)
    with pytest.raises(VersionConflict):
        await fixture.now.grant_global(admin(), BEN, MODERATOR, expected_version=7)
    assert await fixture.stored() == before


async def test_a_concurrent_renaming_of_the_administrator_does_not_reject_grants(
    fixture: TeamFixture,
) -> None:
    for change, left in (
        (fixture.interrupted.grant_global, ("moderator",)),
        (fixture.interrupted.take_global, ()),
    ):
        fixture.interrupt(lambda: fixture.rename(ADMIN), times=RETRIES_MAX)
        await change(admin(), BEN, MODERATOR, expected_version=None)
        assert (fixture.times, await _grants(fixture, BEN)) == (0, left)


async def test_what_a_grantee_became_meanwhile_stays(fixture: TeamFixture) -> None:
    fixture.interrupt(lambda: fixture.rename(BEN))
    with pytest.raises(VersionConflict):
        await fixture.interrupted.grant_global(admin(), BEN, MODERATOR, expected_version=1)
    assert await _grants(fixture, BEN) == ()


async def test_a_role_that_is_retired_meanwhile_is_granted_to_nobody(fixture: TeamFixture) -> None:
    permissions = (Permission.MODERATE,)
    role = await fixture.now.new_role(admin(), RoleScope.GLOBAL, {"name": "host", "permissions": permissions})
    fixture.interrupt(lambda: fixture.now.delete_role(admin(), role.id, expected_version=None))
    with pytest.raises(NotFound):
        await fixture.interrupted.grant_global(admin(), BEN, role.id, expected_version=None)
    assert await _grants(fixture, BEN) == ()


async def test_the_last_administrator_stays(fixture: TeamFixture) -> None:
    before = await fixture.stored()
    with pytest.raises(Conflict):
        await fixture.now.take_global(admin(), ADMIN, ADMINISTRATOR, expected_version=None)
    assert await fixture.stored() == before
    await fixture.now.grant_global(admin(), BEN, ADMINISTRATOR, expected_version=None)
    await fixture.now.take_global(admin(), ADMIN, ADMINISTRATOR, expected_version=None)
    with pytest.raises(Conflict):
        await fixture.now.take_global(actor(BEN, admin=True), BEN, ADMINISTRATOR, expected_version=None)
    assert (await _grants(fixture, ADMIN), await _grants(fixture, BEN)) == ((), ("admin",))


async def test_administrators_who_revoke_each_other_concurrently_leave_one(fixture: TeamFixture) -> None:
    everybody = (ADMIN, BEN, CARL)
    for _ in range(10):
        for id in everybody:
            await fixture.now.grant_global(system_actor("start"), id, ADMINISTRATOR, expected_version=None)
        refused = await at_once(
            *(
                fixture.interrupted.take_global(admin(), id, ADMINISTRATOR, expected_version=None)
                for id in everybody
            )
        )
        left = [id for id in everybody if "admin" in await _grants(fixture, id)]
        assert left
        assert len(left) == len(refused)
        # The last administrator stays; a revoked one can no longer revoke others.
        assert all(isinstance(one, Conflict | Forbidden) for one in refused)


async def test_roles_are_shown_to_whom_they_concern(fixture: TeamFixture) -> None:
    shared, other = await fixture.team(BEN, CARL), await fixture.team(BEN)
    await fixture.now.grant(actor(), shared.id, BEN, LEADER)
    await fixture.now.grant_global(admin(), BEN, MODERATOR, expected_version=None)

    def roles_of(held: RolesHeld) -> tuple[list[str] | None, dict[str, list[str]]]:
        of_all = None if held.global_roles is None else [one.name for one in held.global_roles]
        return of_all, {one.team_id: sorted(role.name for role in one.roles) for one in held.teams}

    everything = {shared.id: ["admin", "member"], other.id: ["member"]}
    assert roles_of(await fixture.now.held(actor(BEN), BEN)) == (["moderator"], everything)
    assert roles_of(await fixture.now.held(admin(), BEN)) == (["moderator"], everything)
    assert roles_of(await fixture.now.held(moderator(), BEN)) == (None, everything)
    assert roles_of(await fixture.now.held(actor(CARL), BEN)) == (None, {shared.id: ["admin", "member"]})
    with pytest.raises(Forbidden):
        await fixture.now.held(actor(EVE), BEN)
    with pytest.raises(NotFound):
        await fixture.now.held(admin(), "f" * 24)
    assert roles_of(await fixture.now.held(actor(EVE), EVE)) == ([], {})


async def test_a_team_role_counts_from_its_grant_to_its_end(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    role = await _role(fixture, "namer", Permission.CHANGE_TEAM)

    async def rename(name: str) -> None:
        await fixture.now.edit(actor(BEN), made.id, {"name": name}, expected_version=None)

    with pytest.raises(Forbidden):
        await rename("early")
    await fixture.now.grant(actor(), made.id, BEN, role.id)
    await rename("Pond")
    await fixture.now.take(actor(), made.id, BEN, role.id)
    with pytest.raises(Forbidden):
        await rename("late")
    await fixture.now.grant(actor(), made.id, BEN, role.id)
    await fixture.now.delete_role(admin(), role.id, expected_version=None)
    with pytest.raises(Forbidden):
        await rename("retired")
    await fixture.now.take(actor(), made.id, BEN, role.id)
    assert (await fixture.membership(made, BEN)).role_ids == (MEMBER_ROLE_ID,)
    with pytest.raises(NotFound):
        await fixture.now.grant(actor(), made.id, BEN, role.id)


async def test_granting_twice_and_taking_what_is_not_held_change_nothing(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    before = await fixture.stored()
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    await fixture.now.take(actor(), made.id, ANNA, LEADER)
    assert await fixture.stored() == before


async def test_nobody_grants_or_revokes_permissions_that_they_do_not_hold(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN, CARL)
    granter = await _role(fixture, "granter", Permission.GRANT_ROLES)
    namer = await _role(fixture, "namer", Permission.CHANGE_TEAM)
    await fixture.now.grant(actor(), made.id, BEN, granter.id)
    await fixture.now.grant(actor(), made.id, CARL, namer.id)
    before = await fixture.stored()
    refused: list[tuple[Actor, str, str]] = [
        (actor(BEN), CARL, LEADER),
        (actor(BEN), BEN, LEADER),
        (actor(BEN), BEN, namer.id),
        (actor(CARL), BEN, namer.id),
        (moderator(), BEN, namer.id),
    ]
    for who, whom, role_id in refused:
        with pytest.raises(Forbidden):
            await fixture.now.grant(who, made.id, whom, role_id)
        with pytest.raises(Forbidden):
            await fixture.now.take(who, made.id, whom, role_id)
    with pytest.raises(NotFound):
        await fixture.now.grant(actor(EVE), made.id, EVE, LEADER)
    assert await fixture.stored() == before
    await fixture.now.grant(actor(BEN), made.id, CARL, granter.id)
    await fixture.now.grant(admin(), made.id, CARL, LEADER)
    assert {granter.id, LEADER} < set((await fixture.membership(made, CARL)).role_ids)


async def test_what_somebody_holds_elsewhere_counts_nothing_here(fixture: TeamFixture) -> None:
    here = await fixture.team(BEN)
    there = await fixture.now.create(actor(BEN), {"name": "Elsewhere"})
    before = await fixture.stored()
    with pytest.raises(Forbidden):
        await fixture.now.grant(actor(BEN), here.id, BEN, LEADER)
    with pytest.raises(NotFound):
        await fixture.now.grant(actor(), there.id, BEN, LEADER)
    assert await fixture.stored() == before


@pytest.mark.parametrize("role_id", [OWNER_ROLE_ID, MEMBER_ROLE_ID])
async def test_the_roles_of_membership_and_ownership_cannot_be_granted(
    fixture: TeamFixture, role_id: str
) -> None:
    made = await fixture.team(BEN)
    before = await fixture.stored()
    for who in (actor(), admin()):
        for user_id in (ANNA, BEN):
            with pytest.raises(Conflict):
                await fixture.now.grant(who, made.id, user_id, role_id)
            with pytest.raises(Conflict):
                await fixture.now.take(who, made.id, user_id, role_id)
    assert await fixture.stored() == before


async def test_only_members_hold_roles_in_a_team(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.now.remove(actor(), made.id, BEN)
    before = await fixture.stored()
    for user_id in (EVE, BEN):
        with pytest.raises(NotFound):
            await fixture.now.grant(actor(), made.id, user_id, LEADER)
    assert await fixture.stored() == before


async def test_a_role_that_gains_permissions_concurrently_needs_a_granter_who_holds_them(
    fixture: TeamFixture,
) -> None:
    made = await fixture.team(BEN, CARL)
    await fixture.now.grant(
        actor(), made.id, BEN, (await _role(fixture, "granter", Permission.GRANT_ROLES)).id
    )
    harmless = await _role(fixture, "harmless")
    fixture.interrupt(
        lambda: fixture.now.edit_role(
            admin(), harmless.id, {"permissions": (Permission.CHANGE_TEAM,)}, expected_version=None
        )
    )
    with pytest.raises(Forbidden):
        await fixture.interrupted.grant(actor(BEN), made.id, CARL, harmless.id)
    assert (await fixture.membership(made, CARL)).role_ids == (MEMBER_ROLE_ID,)


async def test_a_member_who_loses_the_permission_concurrently_grants_nothing(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN, CARL)
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    fixture.interrupt(lambda: fixture.now.take(actor(), made.id, BEN, LEADER))
    with pytest.raises(Forbidden):
        await fixture.interrupted.grant(actor(BEN), made.id, CARL, LEADER)
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    fixture.interrupt(lambda: fixture.now.remove(actor(), made.id, BEN))
    with pytest.raises(NotFound):
        await fixture.interrupted.grant(actor(BEN), made.id, CARL, LEADER)
    assert (await fixture.membership(made, CARL)).role_ids == (MEMBER_ROLE_ID,)


async def test_a_revoked_administrator_cannot_restore_the_role_with_an_old_token(
    fixture: TeamFixture,
) -> None:
    for id in (ADMIN, BEN):
        await fixture.now.grant_global(system_actor("start"), id, ADMINISTRATOR, expected_version=None)
    await fixture.now.take_global(admin(), BEN, ADMINISTRATOR, expected_version=None)

    with pytest.raises(Forbidden):
        await fixture.now.grant_global(actor(BEN, admin=True), BEN, ADMINISTRATOR, expected_version=None)
    with pytest.raises(Forbidden):
        await fixture.now.take_global(actor(BEN, admin=True), ADMIN, ADMINISTRATOR, expected_version=None)
    assert "admin" not in await _grants(fixture, BEN)
    assert "admin" in await _grants(fixture, ADMIN)


async def test_a_version_that_is_passed_meanwhile_is_not_written_over(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    planner = await fixture.now.new_role(admin(), RoleScope.TEAM, {"name": "planner", "permissions": ()})
    seen = (await fixture.membership(made, BEN)).version
    fixture.interrupt(lambda: fixture.now.grant(actor(), made.id, BEN, planner.id))
    with pytest.raises(VersionConflict):
        await fixture.interrupted.grant(actor(), made.id, BEN, LEADER, expected_version=seen)
    fixture.interrupt(lambda: fixture.now.take(actor(), made.id, BEN, planner.id))
    with pytest.raises(VersionConflict):
        await fixture.interrupted.remove(actor(), made.id, BEN, expected_version=seen + 1)
    membership = await fixture.membership(made, BEN)
    assert (membership.role_ids, membership.is_deleted) == ((MEMBER_ROLE_ID,), False)
