import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.actor import SYSTEM_ID, system_actor
from application.paging import PageRequest, Sort
from application.retrying import RETRIES_MAX
from domain.errors import AlreadyExists, Conflict, Forbidden, RuleBroken, VersionConflict
from domain.role import BUILT_IN_ROLES, Permission, Role, RoleChanges, RoleScope, built_in_id
from tests.unit.application.clubhouse import ADMIN, Clubhouse, admin, moderator
from tests.unit.builders import BEN, actor, stamp

BY_NAME = PageRequest(sort=Sort("name"), with_total=True)
PLANNER: RoleChanges = {"name": "planner", "permissions": (Permission.ASSIGN_TASKS,)}


async def test_the_built_in_roles_are_there_once_however_many_processes_bring_them() -> None:
    house = Clubhouse()
    await asyncio.gather(*(house.crossed.seed(system_actor("start")) for _ in range(6)))
    roles = (await house.now.roles(actor(), None, BY_NAME)).items
    assert {(one.scope, one.name) for one in roles} == {(scope, name) for scope, name, *_ in BUILT_IN_ROLES}
    assert {(one.version, one.created_by, one.is_built_in) for one in roles} == {(1, SYSTEM_ID, True)}
    before = await house.stored()
    await house.now.seed(system_actor("start"))
    assert await house.stored() == before


async def test_a_built_in_role_that_came_later_is_added_to_those_that_are_there() -> None:
    house = Clubhouse()
    *earlier, later = BUILT_IN_ROLES
    work = house.now.begin(system_actor("start"))
    for definition in earlier:
        work.roles.save(Role.built_in(stamp(), definition))
    await work.commit()
    await house.now.seed(system_actor("start"))
    roles = (await house.now.roles(actor(), None, BY_NAME)).items
    assert len(roles) == len(BUILT_IN_ROLES)
    assert [one.id for one in roles if one.created_by == SYSTEM_ID] == [built_in_id(later[0], later[1])]


async def test_everybody_reads_roles_and_administrators_change_them(house: Clubhouse) -> None:
    role = await house.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    before = await house.stored()
    for refused in (actor(), moderator()):
        with pytest.raises(Forbidden):
            await house.now.new_role(refused, RoleScope.TEAM, {"name": "x"})
        with pytest.raises(Forbidden):
            await house.now.edit_role(refused, role.id, {"name": "x"}, expected_version=None)
        with pytest.raises(Forbidden):
            await house.now.delete_role(refused, role.id, expected_version=None)
    assert await house.stored() == before
    of_teams = await house.now.roles(actor(), RoleScope.TEAM, BY_NAME)
    assert [one.name for one in of_teams.items] == ["admin", "member", "owner", "planner"]
    edited = await house.now.edit_role(admin(), role.id, {"permissions": ()}, expected_version=1)
    assert (edited.permissions, edited.version) == ((), 2)
    with pytest.raises(VersionConflict):
        await house.now.edit_role(admin(), role.id, {"name": "late"}, expected_version=1)


async def test_a_name_is_taken_in_its_scope_as_long_as_its_role_counts(house: Clubhouse) -> None:
    role = await house.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    before = await house.stored()
    for taken in ("planner", "owner"):
        with pytest.raises(AlreadyExists):
            await house.now.new_role(admin(), RoleScope.TEAM, {"name": taken})
    assert await house.stored() == before
    moderate: RoleChanges = {"name": "planner", "permissions": (Permission.MODERATE,)}
    await house.now.new_role(admin(), RoleScope.GLOBAL, moderate)
    await house.now.delete_role(admin(), role.id, expected_version=1)
    again = await house.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    assert again.id != role.id


async def test_built_in_roles_stay_as_they_are(house: Clubhouse) -> None:
    before = await house.stored()
    for scope, name, *_ in BUILT_IN_ROLES:
        id = built_in_id(scope, name)
        with pytest.raises(Conflict):
            await house.now.edit_role(admin(), id, {"name": "mine"}, expected_version=None)
        with pytest.raises(Conflict):
            await house.now.delete_role(admin(), id, expected_version=None)
    assert await house.stored() == before


async def test_what_a_scope_does_not_know_is_refused_and_changes_nothing(house: Clubhouse) -> None:
    role = await house.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    before = await house.stored()
    with pytest.raises(RuleBroken):
        await house.now.edit_role(
            admin(), role.id, {"permissions": (Permission.ADMINISTER,)}, expected_version=None
        )
    with pytest.raises(RuleBroken):
        await house.now.new_role(admin(), RoleScope.GLOBAL, {"name": "nothing"})
    assert await house.stored() == before


Deed = Callable[[Clubhouse, str], Awaitable[Role]]
CHANGES: dict[str, Deed] = {
    "edit": lambda house, id: house.crossed.edit_role(
        admin(), id, {"description": "Plans"}, expected_version=1
    ),
    "delete": lambda house, id: house.crossed.delete_role(admin(), id, expected_version=1),
}
DEEDS: dict[str, Deed] = {
    "create": lambda house, _: house.crossed.new_role(admin(), RoleScope.TEAM, {"name": "waterer"}),
    **CHANGES,
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
async def test_an_administrator_who_is_renamed_meanwhile_still_changes_roles(
    house: Clubhouse, deed: Deed
) -> None:
    planner = await house.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    house.cross(lambda: house.rename(ADMIN), times=RETRIES_MAX)

    done = await deed(house, planner.id)

    assert house.times == 0
    assert await house.now.begin(actor()).roles.get(done.id) == done


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
async def test_who_is_no_administrator_any_more_by_then_changes_no_role(house: Clubhouse, deed: Deed) -> None:
    planner = await house.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    administrator = built_in_id(RoleScope.GLOBAL, "admin")
    await house.now.grant_global(admin(), BEN, administrator, expected_version=None)
    before = (await house.stored())["roles"]
    house.cross(lambda: house.now.take_global(admin(), ADMIN, administrator, expected_version=None))

    with pytest.raises(Forbidden):
        await deed(house, planner.id)

    assert (await house.stored())["roles"] == before


@pytest.mark.parametrize("deed", CHANGES.values(), ids=CHANGES)
async def test_a_role_that_somebody_else_changes_meanwhile_stays_as_he_left_it(
    house: Clubhouse, deed: Deed
) -> None:
    planner = await house.now.new_role(admin(), RoleScope.TEAM, PLANNER)
    house.cross(lambda: house.now.edit_role(admin(), planner.id, {"name": "keeper"}, expected_version=None))

    with pytest.raises(VersionConflict):
        await deed(house, planner.id)

    stored = await house.now.begin(actor()).roles.get(planner.id)
    assert (stored.name, stored.version, stored.is_deleted) == ("keeper", 2, False)
