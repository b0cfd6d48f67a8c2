from datetime import timedelta

import pytest

from application.paging import PageRequest, Sort
from domain.entity import Stamp
from domain.errors import Conflict, Forbidden, NotFound, RuleBroken
from domain.role import Permission, RoleScope, built_in_id
from domain.task import TaskStatus
from domain.team import INVITATION_DAYS, MEMBER_ROLE_ID, MEMBERS_MAX, Membership
from tests.unit.application.team_fixture import (
    CARL,
    EVE,
    NEWEST,
    TeamFixture,
    admin,
    at_once,
    moderator,
)
from tests.unit.builders import ANNA, BEN, actor, numbered_id

LEADER = built_in_id(RoleScope.TEAM, "admin")
FIRST_COME = PageRequest(limit=1, sort=Sort("createdAt"), with_total=True)
TASK, DONE_TASK, OTHER_TASK = numbered_id(71), numbered_id(72), numbered_id(73)


async def test_members_are_listed_by_name_as_they_came(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    first = await fixture.now.members(actor(BEN), made.id, FIRST_COME)
    second = await fixture.now.members(
        actor(BEN), made.id, PageRequest(limit=1, sort=Sort("createdAt"), after=first.next)
    )
    seen = [(one.user_id, one.name) for one in (*first.items, *second.items)]
    assert (first.total, seen, second.next) == (2, [(ANNA, "Anna"), (BEN, "Ben")], None)
    assert second.items[0].role_ids == (MEMBER_ROLE_ID,)
    with pytest.raises(NotFound):
        await fixture.now.members(actor(EVE), made.id, FIRST_COME)


async def test_a_retired_role_is_not_shown_with_members(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    role = await fixture.now.new_role(admin(), RoleScope.TEAM, {"name": "planner"})
    await fixture.now.grant(actor(), made.id, BEN, role.id)
    page = await fixture.now.members(actor(), made.id, PageRequest(sort=Sort("createdAt")))
    assert role.id in page.items[1].role_ids
    await fixture.now.delete_role(admin(), role.id, expected_version=None)
    page = await fixture.now.members(actor(), made.id, PageRequest(sort=Sort("createdAt")))
    assert page.items[1].role_ids == (MEMBER_ROLE_ID,)


async def test_members_are_added_once_and_those_who_are_members_stay_as_they_are(
    fixture: TeamFixture,
) -> None:
    made = await fixture.team(BEN)
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    before = await fixture.membership(made, BEN)
    await fixture.now.add(actor(), made.id, [BEN, CARL, CARL])
    assert await fixture.member_ids(made) == {ANNA, BEN, CARL}
    assert await fixture.membership(made, BEN) == before
    stored = await fixture.stored()
    await fixture.now.add(actor(), made.id, [BEN, CARL])
    assert await fixture.stored() == stored


async def test_users_who_do_not_exist_are_named_and_nobody_is_added(fixture: TeamFixture) -> None:
    made = await fixture.team()
    before = await fixture.stored()
    with pytest.raises(RuleBroken) as refusal:
        await fixture.now.add(actor(), made.id, ["0" * 24, BEN, "2" * 24])
    assert [fault.pointer for fault in refusal.value.violations] == ["/userIds/0", "/userIds/2"]
    assert await fixture.stored() == before


async def test_only_managers_change_members(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN, CARL)
    before = await fixture.stored()
    for refused in (actor(BEN), moderator()):
        with pytest.raises(Forbidden):
            await fixture.now.add(refused, made.id, [EVE])
        with pytest.raises(Forbidden):
            await fixture.now.remove(refused, made.id, CARL)
        with pytest.raises(Forbidden):
            await fixture.now.invite(refused, made.id)
        with pytest.raises(Forbidden):
            await fixture.now.revoke(refused, made.id, expected_version=None)
    with pytest.raises(NotFound):
        await fixture.now.add(actor(EVE), made.id, [EVE])
    with pytest.raises(NotFound):
        await fixture.now.remove(actor(EVE), made.id, EVE)
    assert await fixture.stored() == before
    role = await fixture.now.new_role(
        admin(), RoleScope.TEAM, {"name": "doorkeeper", "permissions": (Permission.CHANGE_MEMBERS,)}
    )
    await fixture.now.grant(admin(), made.id, BEN, role.id)
    await fixture.now.add(actor(BEN), made.id, [EVE])
    await fixture.now.remove(actor(BEN), made.id, CARL)
    assert await fixture.member_ids(made) == {ANNA, BEN, EVE}


async def test_owner_and_contact_cannot_leave_and_other_users_are_not_found(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.now.edit(actor(), made.id, {"poc_id": BEN}, expected_version=None)
    before = await fixture.stored()
    for actor_, user_id in ((actor(), ANNA), (actor(), BEN), (actor(BEN), BEN), (admin(), ANNA)):
        with pytest.raises(Conflict):
            await fixture.now.remove(actor_, made.id, user_id)
    with pytest.raises(NotFound):
        await fixture.now.remove(actor(), made.id, CARL)
    assert await fixture.stored() == before


async def test_a_team_takes_no_more_members_than_the_bound(fixture: TeamFixture) -> None:
    made = await fixture.team()
    stamp = Stamp(fixture.clock.now(), ANNA)
    work = fixture.now.begin(actor())
    for number in range(MEMBERS_MAX - 2):
        work.memberships.save(Membership.create(stamp, team_id=made.id, user_id=numbered_id(number)))
    await work.commit()
    code, _ = await fixture.now.invite(actor(), made.id)
    with pytest.raises(Conflict):
        await fixture.now.add(actor(), made.id, [BEN, CARL])
    assert BEN not in await fixture.member_ids(made)
    await fixture.now.add(actor(), made.id, [BEN])
    with pytest.raises(Conflict):
        await fixture.now.join(actor(EVE), code)
    assert len(await fixture.member_ids(made)) == MEMBERS_MAX


async def test_leaving_reassigns_open_tasks_in_the_same_change_set(fixture: TeamFixture) -> None:
    made, other = await fixture.team(BEN), await fixture.team(BEN)
    await fixture.taken_task(TASK, made, BEN)
    await fixture.taken_task(DONE_TASK, made, BEN, {"status": TaskStatus.DONE})
    await fixture.taken_task(OTHER_TASK, other, BEN)

    await fixture.now.remove(actor(BEN), made.id, BEN)

    assert await fixture.executors(TASK) == (None, None)
    assert (await fixture.now.begin(actor()).tasks.get(TASK)).assignee_id == made.id
    assert await fixture.executors(DONE_TASK) == (BEN, BEN)
    assert await fixture.executors(OTHER_TASK) == (BEN, BEN)
    left = await fixture.membership(made, BEN)
    entry = await fixture.now.begin(actor()).audit.of_version("team_members", left.id, left.version)
    handed = await fixture.now.begin(actor()).audit.of_version("tasks", TASK, 3)
    assert entry is not None
    assert handed is not None
    assert (entry.change_set_id, handed.actor_id) == (handed.change_set_id, BEN)


async def test_a_restored_task_has_no_executor_who_has_left(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.taken_task(TASK, made, BEN)
    work = fixture.now.begin(actor())
    work.tasks.save((await work.tasks.get(TASK)).discard(Stamp(fixture.clock.now(), ANNA)))
    await work.commit()

    await fixture.now.remove(actor(), made.id, BEN)

    assert await fixture.executors(TASK) == (None, None)
    assert (await fixture.now.begin(actor()).tasks.get(TASK)).is_deleted


async def test_a_task_taken_over_while_its_executor_leaves_comes_back_too(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    fixture.interrupt(lambda: fixture.taken_task(TASK, made, BEN))
    await fixture.interrupted.remove(actor(), made.id, BEN)
    assert fixture.times == 0
    assert await fixture.executors(TASK) == (None, None)


async def test_a_concurrent_change_of_a_task_does_not_reject_a_leaving_member(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.taken_task(TASK, made, BEN)

    async def rename() -> None:
        work = fixture.now.begin(actor())
        task = await work.tasks.get(TASK)
        work.tasks.save(task.edit(Stamp(fixture.clock.now(), ANNA), {"title": f"Dig {task.version}"}))
        await work.commit()

    fixture.interrupt(rename, times=3)
    await fixture.interrupted.remove(actor(BEN), made.id, BEN)
    assert (await fixture.executors(TASK), await fixture.member_ids(made)) == ((None, None), {ANNA})
    assert (await fixture.now.begin(actor()).tasks.get(TASK)).title == "Dig 4"


async def test_a_returning_member_does_not_get_former_roles_back(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    await fixture.now.remove(actor(), made.id, BEN)
    await fixture.now.add(actor(), made.id, [BEN])
    assert (await fixture.membership(made, BEN)).role_ids == (MEMBER_ROLE_ID,)


async def test_two_who_add_the_same_users_at_once_both_succeed(fixture: TeamFixture) -> None:
    made = await fixture.team()
    refused = await at_once(
        *(fixture.interrupted.add(actor(), made.id, ids) for ids in ([BEN, CARL], [CARL, BEN, EVE], [EVE]))
    )
    assert (refused, await fixture.member_ids(made)) == ([], {ANNA, BEN, CARL, EVE})
    for user_id in (BEN, CARL, EVE):
        assert (await fixture.membership(made, user_id)).version == 1


async def test_a_manager_who_loses_the_permission_concurrently_adds_nobody(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    fixture.interrupt(lambda: fixture.now.take(actor(), made.id, BEN, LEADER))
    with pytest.raises(Forbidden):
        await fixture.interrupted.add(actor(BEN), made.id, [EVE])
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    fixture.interrupt(lambda: fixture.now.remove(actor(), made.id, BEN))
    with pytest.raises(NotFound):
        await fixture.interrupted.add(actor(BEN), made.id, [EVE])
    assert await fixture.member_ids(made) == {ANNA}


async def test_a_code_lets_people_in_for_a_week(fixture: TeamFixture) -> None:
    made = await fixture.team()
    code, invitation = await fixture.now.invite(actor(), made.id)
    assert invitation.expires_at - fixture.clock.instant == timedelta(days=INVITATION_DAYS)
    assert (await fixture.now.join(actor(BEN), code)).id == made.id
    assert await fixture.member_ids(made) == {ANNA, BEN}
    joined = await fixture.stored()
    assert (await fixture.now.join(actor(BEN), code)).id == made.id
    assert await fixture.stored() == joined
    await fixture.now.remove(actor(BEN), made.id, BEN)
    await fixture.now.join(actor(BEN), code)
    assert await fixture.member_ids(made) == {ANNA, BEN}
    fixture.clock.instant = invitation.expires_at - timedelta(seconds=2)
    await fixture.now.join(actor(CARL), code)
    before = await fixture.stored()
    with pytest.raises(RuleBroken):
        await fixture.now.join(actor(EVE), code)
    assert await fixture.stored() == before


async def test_a_code_that_opens_nothing_gets_its_true_reason(fixture: TeamFixture) -> None:
    made, gone = await fixture.team(), await fixture.team()
    revoked, _ = await fixture.now.invite(actor(), made.id)
    of_deleted, _ = await fixture.now.invite(actor(), gone.id)
    await fixture.now.delete(actor(), gone.id, expected_version=None)
    version = (await fixture.now.revoke(actor(), made.id, expected_version=None)).version
    valid, _ = await fixture.now.invite(actor(), made.id)
    expired, invitation = await fixture.now.invite(actor(), made.id)
    mistyped = valid[:-1] + ("A" if valid[-1] != "A" else "B")
    before = await fixture.stored()
    unknown = "is not a code of this installation; check that it was copied completely"

    assert [await _refusal(fixture, code) for code in ("nonsense", mistyped)] == [unknown] * 2
    assert await _refusal(fixture, revoked) == "was revoked by the team; ask for a new one"
    assert await _refusal(fixture, of_deleted) == "belongs to a team that was deleted"
    fixture.clock.instant = invitation.expires_at
    reason = f"expired on {invitation.expires_at:%Y-%m-%d}; ask for a new one"
    assert await _refusal(fixture, expired) == reason
    assert (version, await fixture.stored()) == (2, before)


async def test_a_removed_member_is_told_so_and_one_who_left_may_return(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN, EVE)
    await fixture.now.remove(actor(), made.id, EVE)
    await fixture.now.remove(actor(BEN), made.id, BEN)
    code, _ = await fixture.now.invite(actor(), made.id)

    reason = await _refusal(fixture, code)
    await fixture.now.join(actor(BEN), code)

    assert reason.startswith("is valid, but you were removed from this team; ask its owner")
    assert await fixture.member_ids(made) == {ANNA, BEN}


async def _refusal(fixture: TeamFixture, code: str) -> str:
    """Why Eve cannot join with a code."""
    with pytest.raises(RuleBroken) as refused:
        await fixture.now.join(actor(EVE), code)
    (violation,) = refused.value.violations
    assert (violation.pointer, refused.value.message) == (
        "/code",
        f"This invitation code {violation.message}.",
    )
    return violation.message


async def test_a_code_revoked_meanwhile_lets_nobody_in(fixture: TeamFixture) -> None:
    made = await fixture.team()
    code, _ = await fixture.now.invite(actor(), made.id)
    fixture.interrupt(lambda: fixture.now.revoke(actor(), made.id, expected_version=None))
    with pytest.raises(RuleBroken):
        await fixture.interrupted.join(actor(EVE), code)
    assert await fixture.member_ids(made) == {ANNA}


async def test_a_concurrent_renaming_of_the_team_does_not_reject_a_new_member(fixture: TeamFixture) -> None:
    made = await fixture.team()
    code, _ = await fixture.now.invite(actor(), made.id)
    names = iter("abc")
    fixture.interrupt(
        lambda: fixture.now.edit(actor(), made.id, {"name": next(names)}, expected_version=None), times=3
    )
    assert (await fixture.interrupted.join(actor(EVE), code)).name == "c"
    assert await fixture.member_ids(made) == {ANNA, EVE}


async def test_activity_shows_members_the_entries_of_former_members_too(fixture: TeamFixture) -> None:
    made, other = await fixture.team(BEN), await fixture.team()
    await fixture.now.remove(actor(BEN), made.id, BEN)
    await fixture.now.edit(actor(), other.id, {"name": "Elsewhere"}, expected_version=None)
    entries = (await fixture.now.activity(actor(), made.id, NEWEST)).items
    activity = [(entry.collection, str(entry.action)) for entry in entries]
    assert activity == [
        ("team_members", "DELETED"),
        ("team_members", "CREATED"),
        *sorted([("teams", "CREATED"), ("team_members", "CREATED")], reverse=activity[2][0] == "teams"),
    ]
    for stranger in (actor(BEN), actor(EVE)):
        with pytest.raises(NotFound):
            await fixture.now.activity(stranger, made.id, NEWEST)
