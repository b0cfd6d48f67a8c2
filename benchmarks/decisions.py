"""The cost of a permission check after grants are loaded: the domain's decisions, and creating the principal."""

import secrets
import time
from collections.abc import Callable, Mapping

from adapters.monty.record_store import MontyRecordStore
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.access import without_teams
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from application.tasks.access import principal_for
from benchmarks.records import NOON
from benchmarks.report import Report, at_most, slowness
from domain import permissions
from domain.assignment import Assignee, AssigneeType
from domain.entity import Stamp
from domain.permissions import Principal
from domain.project import Project
from domain.role import TEAM_PERMISSIONS
from domain.task import Ownership, Task
from domain.team import Membership, Team

SECTION = "Permission checks"
CALLS = 20_000
ROUNDS = 7
CHECK_US_MAX = 5
TEAMS = 20

OWNER, MEMBER, STRANGER = "a" * 24, "b" * 24, "c" * 24
TEAM_IDS = tuple(f"d{number:023x}" for number in range(TEAMS))
STAMP = Stamp(NOON, OWNER)
TASK = Task.create("e" * 24, STAMP, {"title": "Dig the pond"}, ownership=Ownership(OWNER, TEAM_IDS[-1]))
PROJECT = Project.create("f" * 24, STAMP, owner_id=OWNER, changes={"name": "Pond", "team_id": TEAM_IDS[-1]})
TEAM = Team.create(TEAM_IDS[-1], STAMP, owner_id=OWNER, changes={"name": "Gardeners"})
SOMEBODY = Assignee(MEMBER, AssigneeType.USER)

CHECKS: dict[str, Callable[[Principal], bool]] = {
    "see a task": lambda principal: permissions.may_see_task(principal, TASK),
    "change a task": lambda principal: permissions.may_change_task(principal, TASK),
    "delete a task": lambda principal: permissions.may_delete_task(principal, TASK),
    "assign a task": lambda principal: permissions.may_give_task(principal, TASK, SOMEBODY),
    "end an assignment": lambda principal: permissions.may_end_assignment(principal, TASK),
    "choose an executor": lambda principal: permissions.may_choose_executor(principal, TASK, MEMBER),
    "change a project": lambda principal: permissions.may_change_project(principal, PROJECT),
    "change members": lambda principal: permissions.may_change_members(principal, TEAM),
    "grant roles": lambda principal: permissions.may_grant(principal, TEAM, TEAM_PERMISSIONS),
}
PRINCIPALS: Mapping[str, Principal] = {
    "owner": Principal(OWNER, frozenset()),
    "member": Principal(MEMBER, frozenset(), dict.fromkeys(TEAM_IDS, frozenset())),
    "team admin": Principal(MEMBER, frozenset(), dict.fromkeys(TEAM_IDS, TEAM_PERMISSIONS)),
    "stranger": Principal(STRANGER, frozenset(), {}),
    "administrator": Principal(STRANGER, frozenset({"admin"})),
}


async def measure(report: Report) -> None:
    """The thread's CPU time per check, the least of several rounds, for the slowest check and caller."""
    factor = slowness()
    costs = {
        (name, caller): min(_each_us(check, principal) for _ in range(ROUNDS))
        for name, check in CHECKS.items()
        for caller, principal in PRINCIPALS.items()
    }
    (name, caller), slowest_us = max(costs.items(), key=lambda pair: pair[1])
    mean_us = sum(costs.values()) / len(costs)
    raw = (
        f"{len(CHECKS)} checks by {len(PRINCIPALS)} kinds of callers, {mean_us:.2f} µs on average; slowest: {name}, by "
        f"{caller}; at the speed of an ordinary machine {slowest_us / factor:.2f} µs"
    )
    report.add(SECTION, at_most("the slowest decision", slowest_us, CHECK_US_MAX, unit="µs", raw=raw))
    loaded_us = await _from_loaded_us()
    raw = (
        f"membership and role known to the unit of work already; at the speed of an ordinary machine "
        f"{loaded_us / factor:.2f} µs"
    )
    title = "whether a member may change a task, with a new principal"
    report.add(SECTION, at_most(title, loaded_us, CHECK_US_MAX, unit="µs", raw=raw))


async def _from_loaded_us() -> float:
    """The check in a use case for a member, who needs a principal with the loaded memberships and roles."""
    store = MontyRecordStore(None, database=f"bench_{secrets.token_hex(4)}")
    await store.open()
    try:
        actor = Actor(id=MEMBER, grants=frozenset(), request_id="bench")
        work = StoredUnitOfWork(store, SortableIdentifiers(), actor)
        work.memberships.save(Membership.create(STAMP, team_id=TEAM_IDS[-1], user_id=MEMBER))
        await work.commit()
        assert await _may_change(work, actor)
        return min([await _each_loaded_us(work, actor) for _ in range(ROUNDS)])
    finally:
        await store.close()


async def _each_loaded_us(work: UnitOfWork, actor: Actor) -> float:
    began = time.thread_time_ns()
    for _ in range(CALLS):
        await _may_change(work, actor)
    return (time.thread_time_ns() - began) / CALLS / 1_000


async def _may_change(work: UnitOfWork, actor: Actor) -> bool:
    if permissions.may_change_task(without_teams(actor), TASK):
        return True
    return permissions.may_change_task(await principal_for(work, actor, TASK), TASK)


def _each_us(check: Callable[[Principal], bool], principal: Principal) -> float:
    began = time.thread_time_ns()
    for _ in range(CALLS):
        check(principal)
    return (time.thread_time_ns() - began) / CALLS / 1_000
