"""No right follows from a value that cannot be read."""

from typing import Any

import pytest
from bson.objectid import ObjectId

from adapters.adoption.plan import Plan
from domain.role import RoleScope, built_in_id
from domain.team import membership_id
from tests.unit.adapters.adoption.originals import live, planned, record
from tools.todo_database import sample
from tools.todo_documents import at, team_id, user_id

ID = ObjectId("65e58d900000000400000777")


def with_document(collection: str, **fields: Any) -> Plan:
    """The plan for the sample and a document."""
    return planned(sample(), {collection: [{"_id": ID, "createdAt": at(1), **fields}]})


@pytest.mark.parametrize(
    "fields",
    [
        {"team_id": "team-7"},
        {"teamId": 7},
        {"team_id": ""},
        {"teamId": ["x"], "scope": "GLOBAL"},
        {"team_id": team_id(0), "scope": "GLOBAL"},
        {"scope": "PROJECT"},
        {"scope": 1},
        {"scope": "WORKSPACE", "team_id": str(team_id(0))},
        {"scope": "GLOBAL", "isActive": "no"},
        {"scope": "GLOBAL", "is_deleted": "perhaps"},
        {"scope": "TEAM"},
    ],
)
@pytest.mark.parametrize("role", ["admin", "moderator"])
def test_a_role_whose_reach_cannot_be_read_gives_no_rights(fields: dict[str, Any], role: str) -> None:
    before = planned(sample())
    plan = with_document("user_roles", user_id=user_id(4), role_name=role, **fields)

    assert [(one.collection, one.id) for one in plan.set_aside] == [("user_roles", str(ID))]
    assert plan.records == before.records


@pytest.mark.parametrize("fields", [{}, {"scope": "GLOBAL"}, {"scope": "global", "team_id": None}])
def test_a_role_that_names_no_team_holds_everywhere(fields: dict[str, Any]) -> None:
    plan = with_document("user_roles", user_id=user_id(4), role_name="moderator", **fields)
    assert record(plan, "users", user_id(4))["grants"] == ["moderator"]


def test_a_role_that_names_a_team_holds_there() -> None:
    plan = with_document("user_roles", user_id=user_id(4), role_name="admin", team_id=team_id(0))
    member = record(plan, "team_members", membership_id(str(team_id(0)), str(user_id(4))))
    assert built_in_id(RoleScope.TEAM, "admin") in member["roleIds"]
    assert record(plan, "users", user_id(4))["grants"] == []


@pytest.mark.parametrize("scope", ["PROJECT", 1, ["GLOBAL"]])
def test_the_definition_of_a_role_whose_scope_cannot_be_read_is_set_aside(scope: object) -> None:
    plan = with_document("roles", name="chief", scope=scope, permissions=["moderate"])
    assert [(one.collection, one.id) for one in plan.set_aside] == [("roles", str(ID))]
    assert str(ID) not in {one.id for one in live(plan, "roles")}
