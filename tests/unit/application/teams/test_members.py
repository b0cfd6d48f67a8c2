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


async def test_members_are_listed_by_name_as_they_came(house: TeamFixture) -> None:
    made = await house.team(BEN)
    first = await house.now.members(actor(BEN), made.id, FIRST_COME)
    second = await house.now.members(
        actor(BEN), made.id, PageRequest(limit=1, sort=Sort("createdAt"), after=first.next)
    )
    seen = [(one.user_id, one.name) for one in (*first.items, *second.items)]
    assert (first.total, seen, second.next) == (2, [(ANNA, "Anna"), (BEN, "Ben")], None)
    assert second.items[0].role_ids == (MEMBER_ROLE_ID,)
    with pytest.raises(NotFound):
        await house.now.members(actor(EVE), made.id, FIRST_COME)


async def test_a_retired_role_is_not_shown_with_members(house: TeamFixture) -> None:
    made = await house.team(BEN)
    role = await house.now.new_role(admin(), RoleScope.TEAM, {"name": "planner"})
    await house.now.grant(actor(), made.id, BEN, role.id)
    page = await house.now.members(actor(), made.id, PageRequest(sort=Sort("createdAt")))
    assert role.id in page.items[1].role_ids
    await house.now.delete_role(admin(), role.id, expected_version=None)
    page = await house.now.members(actor(), made.id, PageRequest(sort=Sort("createdAt")))
    assert page.items[1].role_ids == (MEMBER_ROLE_ID,)


async def test_members_are_added_once_and_those_who_are_members_stay_as_they_are(house: TeamFixture) -> None:
    made = await house.team(BEN)
    await house.now.grant(actor(), made.id, BEN, LEADER)
    before = await house.membership(made, BEN)
    await house.now.add(actor(), made.id, [BEN, CARL, CARL])
    assert await house.member_ids(made) == {ANNA, BEN, CARL}
    assert await house.membership(made, BEN) == before
    stored = await house.stored()
    await house.now.add(actor(), made.id, [BEN, CARL])
    assert await house.stored() == stored


async def test_users_who_do_not_exist_are_named_and_nobody_is_added(house: TeamFixture) -> None:
    made = await house.team()
    before = await house.stored()
    with pytest.raises(RuleBroken) as refusal:
        await house.now.add(actor(), made.id, ["0" * 24, BEN, "2" * 24])
    assert [fault.pointer for fault in refusal.value.violations] == ["/userIds/0", "/userIds/2"]
    assert await house.stored() == before


async def test_members_are_changed_by_who_runs_the_team_only(house: TeamFixture) -> None:
    made = await house.team(BEN, CARL)
    before = await house.stored()
    for refused in (actor(BEN), moderator()):
        with pytest.raises(Forbidden):
            await house.now.add(refused, made.id, [EVE])
        with pytest.raises(Forbidden):
            await house.now.remove(refused, made.id, CARL)
        with pytest.raises(Forbidden):
            await house.now.invite(refused, made.id)
        with pytest.raises(Forbidden):
            await house.now.revoke(refused, made.id, expected_version=None)
    with pytest.raises(NotFound):
        await house.now.add(actor(EVE), made.id, [EVE])
    with pytest.raises(NotFound):
        await house.now.remove(actor(EVE), made.id, EVE)
    assert await house.stored() == before
    role = await house.now.new_role(
        admin(), RoleScope.TEAM, {"name": "doorkeeper", "permissions": (Permission.CHANGE_MEMBERS,)}
    )
    await house.now.grant(admin(), made.id, BEN, role.id)
    await house.now.add(actor(BEN), made.id, [EVE])
    await house.now.remove(actor(BEN), made.id, CARL)
    assert await house.member_ids(made) == {ANNA, BEN, EVE}


async def test_owner_and_contact_stay_and_who_is_no_member_is_not_found(house: TeamFixture) -> None:
    made = await house.team(BEN)
    await house.now.edit(actor(), made.id, {"poc_id": BEN}, expected_version=None)
    before = await house.stored()
    for actor_, user_id in ((actor(), ANNA), (actor(), BEN), (actor(BEN), BEN), (admin(), ANNA)):
        with pytest.raises(Conflict):
            await house.now.remove(actor_, made.id, user_id)
    with pytest.raises(NotFound):
        await house.now.remove(actor(), made.id, CARL)
    assert await house.stored() == before


async def test_a_team_takes_no_more_members_than_the_bound(house: TeamFixture) -> None:
    made = await house.team()
    stamp = Stamp(house.clock.now(), ANNA)
    work = house.now.begin(actor())
    for number in range(MEMBERS_MAX - 2):
        work.memberships.save(Membership.create(stamp, team_id=made.id, user_id=numbered_id(number)))
    await work.commit()
    code, _ = await house.now.invite(actor(), made.id)
    with pytest.raises(Conflict):
        await house.now.add(actor(), made.id, [BEN, CARL])
    assert BEN not in await house.member_ids(made)
    await house.now.add(actor(), made.id, [BEN])
    with pytest.raises(Conflict):
        await house.now.join(actor(EVE), code)
    assert len(await house.member_ids(made)) == MEMBERS_MAX


async def test_who_leaves_hands_open_tasks_back_in_the_same_change_set(house: TeamFixture) -> None:
    made, other = await house.team(BEN), await house.team(BEN)
    await house.taken_task(TASK, made, BEN)
    await house.taken_task(DONE_TASK, made, BEN, {"status": TaskStatus.DONE})
    await house.taken_task(OTHER_TASK, other, BEN)

    await house.now.remove(actor(BEN), made.id, BEN)

    assert await house.executors(TASK) == (None, None)
    assert (await house.now.begin(actor()).tasks.get(TASK)).assignee_id == made.id
    assert await house.executors(DONE_TASK) == (BEN, BEN)
    assert await house.executors(OTHER_TASK) == (BEN, BEN)
    left = await house.membership(made, BEN)
    entry = await house.now.begin(actor()).audit.of_version("team_members", left.id, left.version)
    handed = await house.now.begin(actor()).audit.of_version("tasks", TASK, 3)
    assert entry is not None
    assert handed is not None
    assert (entry.change_set_id, handed.actor_id) == (handed.change_set_id, BEN)


async def test_a_task_in_the_trash_does_not_come_back_as_the_work_of_who_left(house: TeamFixture) -> None:
    made = await house.team(BEN)
    await house.taken_task(TASK, made, BEN)
    work = house.now.begin(actor())
    work.tasks.save((await work.tasks.get(TASK)).discard(Stamp(house.clock.now(), ANNA)))
    await work.commit()

    await house.now.remove(actor(), made.id, BEN)

    assert await house.executors(TASK) == (None, None)
    assert (await house.now.begin(actor()).tasks.get(TASK)).is_deleted


async def test_a_task_taken_over_while_its_executor_leaves_comes_back_too(house: TeamFixture) -> None:
    made = await house.team(BEN)
    house.cross(lambda: house.taken_task(TASK, made, BEN))
    await house.crossed.remove(actor(), made.id, BEN)
    assert house.times == 0
    assert await house.executors(TASK) == (None, None)


async def test_a_task_that_changes_meanwhile_hinders_nobody_who_leaves(house: TeamFixture) -> None:
    made = await house.team(BEN)
    await house.taken_task(TASK, made, BEN)

    async def rename() -> None:
        work = house.now.begin(actor())
        task = await work.tasks.get(TASK)
        work.tasks.save(task.edit(Stamp(house.clock.now(), ANNA), {"title": f"Dig {task.version}"}))
        await work.commit()

    house.cross(rename, times=3)
    await house.crossed.remove(actor(BEN), made.id, BEN)
    assert (await house.executors(TASK), await house.member_ids(made)) == ((None, None), {ANNA})
    assert (await house.now.begin(actor()).tasks.get(TASK)).title == "Dig 4"


async def test_who_comes_back_holds_nothing_of_what_he_held(house: TeamFixture) -> None:
    made = await house.team(BEN)
    await house.now.grant(actor(), made.id, BEN, LEADER)
    await house.now.remove(actor(), made.id, BEN)
    await house.now.add(actor(), made.id, [BEN])
    assert (await house.membership(made, BEN)).role_ids == (MEMBER_ROLE_ID,)


async def test_two_who_add_the_same_users_at_once_both_succeed(house: TeamFixture) -> None:
    made = await house.team()
    refused = await at_once(
        *(house.crossed.add(actor(), made.id, ids) for ids in ([BEN, CARL], [CARL, BEN, EVE], [EVE]))
    )
    assert (refused, await house.member_ids(made)) == ([], {ANNA, BEN, CARL, EVE})
    for user_id in (BEN, CARL, EVE):
        assert (await house.membership(made, user_id)).version == 1


async def test_who_loses_the_right_meanwhile_adds_nobody(house: TeamFixture) -> None:
    made = await house.team(BEN)
    await house.now.grant(actor(), made.id, BEN, LEADER)
    house.cross(lambda: house.now.take(actor(), made.id, BEN, LEADER))
    with pytest.raises(Forbidden):
        await house.crossed.add(actor(BEN), made.id, [EVE])
    await house.now.grant(actor(), made.id, BEN, LEADER)
    house.cross(lambda: house.now.remove(actor(), made.id, BEN))
    with pytest.raises(NotFound):
        await house.crossed.add(actor(BEN), made.id, [EVE])
    assert await house.member_ids(made) == {ANNA}


async def test_a_code_lets_people_in_for_a_week(house: TeamFixture) -> None:
    made = await house.team()
    code, invitation = await house.now.invite(actor(), made.id)
    assert invitation.expires_at - house.clock.instant == timedelta(days=INVITATION_DAYS)
    assert (await house.now.join(actor(BEN), code)).id == made.id
    assert await house.member_ids(made) == {ANNA, BEN}
    joined = await house.stored()
    assert (await house.now.join(actor(BEN), code)).id == made.id
    assert await house.stored() == joined
    await house.now.remove(actor(BEN), made.id, BEN)
    await house.now.join(actor(BEN), code)
    assert await house.member_ids(made) == {ANNA, BEN}
    house.clock.instant = invitation.expires_at - timedelta(seconds=2)
    await house.now.join(actor(CARL), code)
    before = await house.stored()
    with pytest.raises(RuleBroken):
        await house.now.join(actor(EVE), code)
    assert await house.stored() == before


async def test_codes_that_open_nothing_are_refused_alike(house: TeamFixture) -> None:
    made, gone = await house.team(), await house.team()
    revoked, _ = await house.now.invite(actor(), made.id)
    of_deleted, _ = await house.now.invite(actor(), gone.id)
    await house.now.delete(actor(), gone.id, expected_version=None)
    version = (await house.now.revoke(actor(), made.id, expected_version=None)).version
    valid, _ = await house.now.invite(actor(), made.id)
    expired, invitation = await house.now.invite(actor(), made.id)
    house.clock.instant = invitation.expires_at
    before = await house.stored()
    said = set()
    for code in ("nonsense", valid[:-1] + ("A" if valid[-1] != "A" else "B"), revoked, of_deleted, expired):
        with pytest.raises(RuleBroken) as refusal:
            await house.now.join(actor(EVE), code)
        said.add((str(refusal.value), refusal.value.violations))
    assert (len(said), version, await house.stored()) == (1, 2, before)


async def test_a_code_revoked_meanwhile_lets_nobody_in(house: TeamFixture) -> None:
    made = await house.team()
    code, _ = await house.now.invite(actor(), made.id)
    house.cross(lambda: house.now.revoke(actor(), made.id, expected_version=None))
    with pytest.raises(RuleBroken):
        await house.crossed.join(actor(EVE), code)
    assert await house.member_ids(made) == {ANNA}


async def test_a_team_renamed_meanwhile_hinders_nobody_who_joins(house: TeamFixture) -> None:
    made = await house.team()
    code, _ = await house.now.invite(actor(), made.id)
    names = iter("abc")
    house.cross(
        lambda: house.now.edit(actor(), made.id, {"name": next(names)}, expected_version=None), times=3
    )
    assert (await house.crossed.join(actor(EVE), code)).name == "c"
    assert await house.member_ids(made) == {ANNA, EVE}


async def test_activity_tells_members_what_happened_also_to_who_left(house: TeamFixture) -> None:
    made, other = await house.team(BEN), await house.team()
    await house.now.remove(actor(BEN), made.id, BEN)
    await house.now.edit(actor(), other.id, {"name": "Elsewhere"}, expected_version=None)
    entries = (await house.now.activity(actor(), made.id, NEWEST)).items
    told = [(entry.collection, str(entry.action)) for entry in entries]
    assert told == [
        ("team_members", "DELETED"),
        ("team_members", "CREATED"),
        *sorted([("teams", "CREATED"), ("team_members", "CREATED")], reverse=told[2][0] == "teams"),
    ]
    for stranger in (actor(BEN), actor(EVE)):
        with pytest.raises(NotFound):
            await house.now.activity(stranger, made.id, NEWEST)
