import pytest

from domain.errors import Conflict, RuleBroken
from domain.role import (
    BUILT_IN_ROLE_IDS,
    BUILT_IN_ROLES,
    PERMISSIONS_OF,
    Permission,
    Role,
    RoleScope,
    built_in_id,
)
from tests.unit.builders import numbered_id, stamp


def test_a_role_holds_what_its_scope_knows_sorted_and_once() -> None:
    asked = (Permission.GRANT_ROLES, Permission.ASSIGN_TASKS, Permission.GRANT_ROLES)
    role = Role.create(
        numbered_id(1), stamp(), scope=RoleScope.TEAM, changes={"name": "planner", "permissions": asked}
    )
    assert role.permissions == (Permission.ASSIGN_TASKS, Permission.GRANT_ROLES)


@pytest.mark.parametrize(
    ("scope", "permission"),
    [(RoleScope.TEAM, Permission.ADMINISTER), (RoleScope.GLOBAL, Permission.CHANGE_MEMBERS)],
)
def test_what_another_scope_knows_is_refused_at_its_place(scope: RoleScope, permission: Permission) -> None:
    fitting = next(iter(PERMISSIONS_OF[scope]))
    with pytest.raises(RuleBroken) as refusal:
        Role.create(
            numbered_id(1), stamp(), scope=scope, changes={"name": "x", "permissions": (fitting, permission)}
        )
    assert [fault.pointer for fault in refusal.value.violations] == ["/permissions/1"]


def test_a_global_role_that_allows_nothing_is_refused() -> None:
    with pytest.raises(RuleBroken) as refusal:
        Role.create(numbered_id(1), stamp(), scope=RoleScope.GLOBAL, changes={"name": "x"})
    assert [fault.pointer for fault in refusal.value.violations] == ["/permissions"]
    assert Role.create(numbered_id(1), stamp(), scope=RoleScope.TEAM, changes={"name": "x"}).permissions == ()


@pytest.mark.parametrize("definition", BUILT_IN_ROLES, ids=lambda each: f"{each[0]} {each[1]}")
def test_a_built_in_role_is_the_same_everywhere_and_stays(
    definition: tuple[RoleScope, str, str, frozenset[Permission]],
) -> None:
    role = Role.built_in(stamp(), definition)
    assert role.id == built_in_id(role.scope, role.name)
    assert (role.is_built_in, frozenset(role.permissions)) == (True, definition[3])
    assert role.id in BUILT_IN_ROLE_IDS
    with pytest.raises(Conflict):
        role.edit(stamp(1), {"description": "x"})
    with pytest.raises(Conflict):
        role.retire(stamp(1))
