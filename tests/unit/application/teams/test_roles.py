import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.actor import SYSTEM_ID, system_actor
from application.paging import PageRequest, Sort
from application.retrying import RETRIES_MAX
from domain.errors import AlreadyExists, Conflict, Forbidden, RuleBroken, VersionConflict
from domain.role import BUILT_IN_ROLES, Permission, Role, RoleChanges, RoleScope, built_in_id
from tests.unit.application.team_fixture import ADMIN, TeamFixture, admin, moderator
from tests.unit.builders import BEN, actor, stamp

BY_NAME = PageRequest(sort=Sort("name"), with_total=True)
PLANNER: RoleChanges = {"name": "planner", "permissions": (Permission.ASSIGN_TASKS,)}


async def test_the_built_in_roles_are_there_once_however_many_processes_bring_them() -> None:
    fixture = TeamFixture()
    await asyncio.gather(*(fixture.interrupted.seed(system_actor("start")) for _ in range(6)))
    roles = (await fixture.now.roles(actor(), None, BY_NAME)).items
    assert {(one.scope, one.name) for one in roles} == {(scope, name) for scope, name, *_ in BUILT_IN_ROLES}
    assert {(one.version, one.created_by, one.is_built_in) for one in roles} == {(1, SYSTEM_ID, True)}
    before = await fixture.stored()
    await fixture.now.seed(system_actor("start"))
    assert await fixture.stored() == before


async def test_a_new_built_in_role_is_added_to_the_existing_ones() -> None:
    fixture = TeamFixture()
    *earlier, later = BUILT_IN_ROLES
    work = fixture.now.begin(system_actor("start"))
    for definition in earlier:
        work.roles.save(Role.built_in(stamp(), definition))
    await work.commit()
    await fixture.now.seed(system_actor("start"))
    roles = (await fixture.now.roles(actor(), None, BY_NAME)).items
    assert len(roles) == len(BUILT_IN_ROLES)
    assert [one.id for one in roles if one.created_by == SYSTEM_ID] == [built_in_id(later[0], later[1])]


async def test_everybody_reads_roles_and_administrators_change_them(fixture: TeamFixture) -> None:
    role = await fixture.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    before = await fixture.stored()
    for refused in (actor(), moderator()):
        with pytest.raises(Forbidden):
            await fixture.now.new_role(refused, RoleScope.TEAM, {"name": "x"})
        with pytest.raises(Forbidden):
            await fixture.now.edit_role(refused, role.id, {"name": "x"}, expected_version=None)
        with pytest.raises(Forbidden):
            await fixture.now.delete_role(refused, role.id, expected_version=None)
    assert await fixture.stored() == before
    of_teams = await fixture.now.roles(actor(), RoleScope.TEAM, BY_NAME)
    assert [one.name for one in of_teams.items] == ["admin", "member", "owner", "planner"]
    edited = await fixture.now.edit_role(admin(), role.id, {"permissions": ()}, expected_version=1)
    assert (edited.permissions, edited.version) == ((), 2)
    with pytest.raises(VersionConflict):
        await fixture.now.edit_role(admin(), role.id, {"name": "late"}, expected_version=1)


async def test_a_name_is_taken_in_its_scope_as_long_as_its_role_counts(fixture: TeamFixture) -> None:
    role = await fixture.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    before = await fixture.stored()
    for taken in ("planner", "owner"):
        with pytest.raises(AlreadyExists):
            await fixture.now.new_role(admin(), RoleScope.TEAM, {"name": taken})
    assert await fixture.stored() == before
    moderate: RoleChanges = {"name": "planner", "permissions": (Permission.MODERATE,)}
    await fixture.now.new_role(admin(), RoleScope.GLOBAL, moderate)
    await fixture.now.delete_role(admin(), role.id, expected_version=1)
    again = await fixture.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    assert again.id != role.id


async def test_built_in_roles_stay_as_they_are(fixture: TeamFixture) -> None:
    before = await fixture.stored()
    for scope, name, *_ in BUILT_IN_ROLES:
        id = built_in_id(scope, name)
        with pytest.raises(Conflict):
            await fixture.now.edit_role(admin(), id, {"name": "mine"}, expected_version=None)
        with pytest.raises(Conflict):
            await fixture.now.delete_role(admin(), id, expected_version=None)
    assert await fixture.stored() == before


async def test_what_a_scope_does_not_know_is_refused_and_changes_nothing(fixture: TeamFixture) -> None:
    role = await fixture.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    before = await fixture.stored()
    with pytest.raises(RuleBroken):
        await fixture.now.edit_role(
            admin(), role.id, {"permissions": (Permission.ADMINISTER,)}, expected_version=None
        )
    with pytest.raises(RuleBroken):
        await fixture.now.new_role(admin(), RoleScope.GLOBAL, {"name": "nothing"})
    assert await fixture.stored() == before


Operation = Callable[[TeamFixture, str], Awaitable[Role]]
CHANGES: dict[str, Operation] = {
    "edit": lambda fixture, id: fixture.interrupted.edit_role(
        admin(), id, {"description": "Plans"}, expected_version=1
    ),
    "delete": lambda fixture, id: fixture.interrupted.delete_role(admin(), id, expected_version=1),
}
OPERATIONS: dict[str, Operation] = {
    "create": lambda fixture, _: fixture.interrupted.new_role(admin(), RoleScope.TEAM, {"name": "waterer"}),
    **CHANGES,
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_concurrent_renaming_of_the_administrator_does_not_reject_a_change_of_roles(
    fixture: TeamFixture, operation: Operation
) -> None:
    planner = await fixture.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    fixture.interrupt(lambda: fixture.rename(ADMIN), times=RETRIES_MAX)

    done = await operation(fixture, planner.id)

    assert fixture.times == 0
    assert await fixture.now.begin(actor()).roles.get(done.id) == done


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_revoked_administrator_does_not_change_roles(
    fixture: TeamFixture, operation: Operation
) -> None:
    planner = await fixture.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    administrator = built_in_id(RoleScope.GLOBAL, "admin")
    await fixture.now.grant_global(admin(), BEN, administrator, expected_version=None)
    before = (await fixture.stored())["roles"]
    fixture.interrupt(lambda: fixture.now.take_global(admin(), ADMIN, administrator, expected_version=None))

    with pytest.raises(Forbidden):
        await operation(fixture, planner.id)

    assert (await fixture.stored())["roles"] == before


@pytest.mark.parametrize("operation", CHANGES.values(), ids=CHANGES)
async def test_a_concurrent_change_of_a_role_is_not_overwritten(
    fixture: TeamFixture, operation: Operation
) -> None:
    planner = await fixture.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    fixture.interrupt(
        lambda: fixture.now.edit_role(admin(), planner.id, {"name": "keeper"}, expected_version=None)
    )

    with pytest.raises(VersionConflict):
        await operation(fixture, planner.id)

    stored = await fixture.now.begin(actor()).roles.get(planner.id)
    assert (stored.name, stored.version, stored.is_deleted) == ("keeper", 2, False)
