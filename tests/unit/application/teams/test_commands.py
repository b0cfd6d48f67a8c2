import pytest

from application.paging import PageRequest
from application.ports.repositories import AuditFilter, TeamFilter
from domain.audit import Action
from domain.errors import Conflict, Forbidden, NotFound, RuleBroken, VersionConflict
from domain.role import RoleScope, built_in_id
from domain.team import MEMBER_ROLE_ID, OWNER_ROLE_ID, Team
from tests.unit.application.team_fixture import (
    ADMIN,
    CARL,
    DORA,
    EVE,
    NEWEST,
    TeamFixture,
    admin,
    at_once,
    moderator,
)
from tests.unit.builders import ANNA, BEN, actor

LEADER = built_in_id(RoleScope.TEAM, "admin")


async def test_the_creator_of_a_team_is_its_owner_and_first_member_in_one_change_set(
    fixture: TeamFixture,
) -> None:
    made = await fixture.now.create(actor(), {"name": "Gardeners", "poc_id": ANNA})
    own = await fixture.membership(made, ANNA)
    assert (made.owner_id, made.poc_id, own.role_ids) == (ANNA, ANNA, (OWNER_ROLE_ID,))
    entries = (await fixture.now.activity(actor(), made.id, NEWEST)).items
    assert {entry.collection for entry in entries} == {"teams", "team_members"}
    assert len({entry.change_set_id for entry in entries}) == 1


async def test_a_new_team_has_nobody_else_to_speak_for_it(fixture: TeamFixture) -> None:
    before = await fixture.stored()
    with pytest.raises(RuleBroken) as refusal:
        await fixture.now.create(actor(), {"name": "Gardeners", "poc_id": BEN})
    assert [fault.pointer for fault in refusal.value.violations] == ["/pocId"]
    assert await fixture.stored() == before


async def test_a_team_is_visible_to_members_and_moderators(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    for seeing in (actor(), actor(BEN), admin(), moderator()):
        assert (await fixture.now.get(seeing, made.id)).id == made.id
    with pytest.raises(NotFound):
        await fixture.now.get(actor(EVE), made.id)
    with pytest.raises(NotFound):
        await fixture.now.get(actor(EVE), made.id, version=1)
    await fixture.now.remove(actor(BEN), made.id, BEN)
    with pytest.raises(NotFound):
        await fixture.now.get(actor(BEN), made.id)


async def test_lists_show_ones_own_teams_and_the_trash_those_one_owned(fixture: TeamFixture) -> None:
    first, second = await fixture.team(BEN), await fixture.team()
    find = fixture.now.find

    async def found(who: str, *, deleted: bool = False) -> list[str]:
        page = await find(actor(who), TeamFilter(deleted=deleted), PageRequest(with_total=True))
        assert page.total == len(page.items)
        return [team.id for team in page.items]

    assert await found(ANNA) == [second.id, first.id]
    assert await found(BEN) == [first.id]
    assert await found(EVE) == []
    assert len((await find(admin(), TeamFilter(), PageRequest())).items) == 2
    assert (await find(actor(BEN), TeamFilter(owner_id=BEN), PageRequest())).items == []
    await fixture.now.delete(actor(), first.id, expected_version=None)
    assert (await found(ANNA), await found(BEN)) == ([second.id], [])
    assert (await found(ANNA, deleted=True), await found(BEN, deleted=True)) == ([first.id], [])


async def test_managers_change_a_team_and_members_do_not(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN, CARL)
    await fixture.now.grant(actor(), made.id, CARL, LEADER)
    before = await fixture.stored()
    for refused in (actor(BEN), moderator()):
        with pytest.raises(Forbidden):
            await fixture.now.edit(refused, made.id, {"name": "x"}, expected_version=None)
        with pytest.raises(Forbidden):
            await fixture.now.roll_back(refused, made.id, version=1, expected_version=None)
    with pytest.raises(NotFound):
        await fixture.now.edit(actor(EVE), made.id, {"name": "x"}, expected_version=None)
    assert await fixture.stored() == before
    for number, allowed in enumerate((actor(), actor(CARL), admin())):
        edited = await fixture.now.edit(allowed, made.id, {"name": f"Pond {number}"}, expected_version=None)
        assert edited.name == f"Pond {number}"


async def test_the_contact_belongs_to_the_team(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.now.remove(actor(BEN), made.id, BEN)
    before = await fixture.stored()
    for stranger in (EVE, BEN):
        with pytest.raises(RuleBroken) as refusal:
            await fixture.now.edit(actor(), made.id, {"poc_id": stranger}, expected_version=None)
        assert [fault.pointer for fault in refusal.value.violations] == ["/pocId"]
    assert await fixture.stored() == before
    await fixture.now.add(actor(), made.id, [CARL])
    edited = await fixture.now.edit(actor(), made.id, {"poc_id": CARL}, expected_version=None)
    cleared = await fixture.now.edit(actor(), made.id, {"poc_id": None}, expected_version=None)
    assert (edited.poc_id, cleared.poc_id) == (CARL, None)


async def test_a_team_given_away_swaps_the_owners_in_one_change_set(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    given = await fixture.now.edit(actor(), made.id, {"owner_id": BEN}, expected_version=1)
    assert given.owner_id == BEN
    assert (await fixture.membership(made, BEN)).role_ids == (OWNER_ROLE_ID,)
    assert (await fixture.membership(made, ANNA)).role_ids == (MEMBER_ROLE_ID,)
    newest = (await fixture.now.activity(actor(BEN), made.id, NEWEST)).items[:3]
    assert len({entry.change_set_id for entry in newest}) == 1
    with pytest.raises(Forbidden):
        await fixture.now.edit(actor(), made.id, {"name": "x"}, expected_version=None)


async def test_only_the_owner_gives_a_team_away_and_only_to_members(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    before = await fixture.stored()
    with pytest.raises(Forbidden):
        await fixture.now.edit(actor(BEN), made.id, {"owner_id": BEN}, expected_version=None)
    with pytest.raises(RuleBroken) as refusal:
        await fixture.now.edit(
            actor(), made.id, {"owner_id": EVE, "poc_id": CARL, "name": "x"}, expected_version=None
        )
    assert [fault.pointer for fault in refusal.value.violations] == ["/ownerId", "/pocId"]
    assert await fixture.stored() == before
    assert (
        await fixture.now.edit(admin(), made.id, {"owner_id": BEN}, expected_version=None)
    ).owner_id == BEN


async def test_a_stale_or_pointless_edit_makes_no_version(fixture: TeamFixture) -> None:
    made = await fixture.team()
    await fixture.now.edit(actor(), made.id, {"name": "Pond"}, expected_version=1)
    before = await fixture.stored()
    with pytest.raises(VersionConflict):
        await fixture.now.edit(actor(), made.id, {"name": "Lost"}, expected_version=1)
    same = await fixture.now.edit(
        actor(), made.id, {"name": "Pond", "owner_id": ANNA, "poc_id": None}, expected_version=None
    )
    assert (same.version, await fixture.stored()) == (2, before)


async def test_a_team_takes_its_members_along_and_brings_back_exactly_those(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN, CARL, DORA)
    await fixture.now.grant(actor(), made.id, CARL, LEADER)
    await fixture.now.remove(actor(), made.id, DORA)
    deleted = await fixture.now.delete(actor(), made.id, expected_version=1)
    assert (await fixture.member_ids(made), deleted.is_deleted) == (set(), True)
    assert (await fixture.membership(made, BEN)).deleted_at == deleted.deleted_at
    assert (await fixture.now.get(actor(), made.id)).is_deleted
    with pytest.raises(NotFound):
        await fixture.now.get(actor(BEN), made.id)
    entries = (
        await fixture.now.begin(actor()).audit.matching(AuditFilter(action=Action.DELETED), NEWEST)
    ).items
    assert len({entry.change_set_id for entry in entries[:4]}) == 1

    restored = await fixture.now.restore(actor(), made.id, expected_version=2)
    assert (await fixture.member_ids(made), restored.is_deleted) == ({ANNA, BEN, CARL}, False)
    assert LEADER in (await fixture.membership(made, CARL)).role_ids


async def test_only_its_owner_deletes_a_team_and_restores_it(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.now.grant(actor(), made.id, BEN, LEADER)
    before = await fixture.stored()
    for refused in (actor(BEN), moderator()):
        with pytest.raises(Forbidden):
            await fixture.now.delete(refused, made.id, expected_version=None)
    with pytest.raises(NotFound):
        await fixture.now.delete(actor(EVE), made.id, expected_version=None)
    assert await fixture.stored() == before
    await fixture.now.delete(admin(), made.id, expected_version=None)
    with pytest.raises(NotFound):
        await fixture.now.restore(actor(BEN), made.id, expected_version=None)
    assert not (await fixture.now.restore(actor(), made.id, expected_version=None)).is_deleted


async def test_nothing_happens_in_a_deleted_team(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    code, _ = await fixture.now.invite(actor(), made.id)
    await fixture.now.delete(actor(), made.id, expected_version=None)
    before = await fixture.stored()
    with pytest.raises(Conflict):
        await fixture.now.edit(actor(), made.id, {"name": "x"}, expected_version=None)
    with pytest.raises(Conflict):
        await fixture.now.add(actor(), made.id, [CARL])
    with pytest.raises(Conflict):
        await fixture.now.remove(actor(), made.id, BEN)
    with pytest.raises(Conflict):
        await fixture.now.invite(actor(), made.id)
    with pytest.raises(Conflict):
        await fixture.now.grant(actor(), made.id, BEN, LEADER)
    with pytest.raises(RuleBroken):
        await fixture.now.join(actor(EVE), code)
    assert await fixture.stored() == before


async def test_a_roll_back_brings_back_no_former_owner(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    await fixture.now.edit(
        actor(), made.id, {"name": "Pond", "owner_id": BEN, "poc_id": BEN}, expected_version=None
    )
    await fixture.now.remove(actor(BEN), made.id, ANNA)
    back = await fixture.now.roll_back(actor(BEN), made.id, version=1, expected_version=2)
    assert (back.name, back.owner_id, back.poc_id) == ("Gardeners", BEN, BEN)
    entry = await fixture.now.begin(actor()).audit.of_version("teams", made.id, 3)
    assert entry is not None
    assert entry.action is Action.ROLLED_BACK
    with pytest.raises(NotFound):
        await fixture.now.get(actor(), made.id)


async def _owner_of(fixture: TeamFixture, team: Team) -> str:
    """The owner, checked to be a member and the only one with the role owner."""
    present = await fixture.now.get(admin(), team.id)
    members = await fixture.now.begin(actor()).memberships.of_team(team.id)
    owners = [one.user_id for one in members if OWNER_ROLE_ID in one.role_ids]
    assert owners == [present.owner_id]
    assert present.poc_id in (None, *(one.user_id for one in members))
    return present.owner_id


async def test_a_member_who_becomes_owner_concurrently_is_not_removed(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN)
    fixture.interrupt(lambda: fixture.now.edit(actor(), made.id, {"owner_id": BEN}, expected_version=None))
    # By then she may no longer remove members.
    with pytest.raises(Forbidden):
        await fixture.interrupted.remove(actor(), made.id, BEN)
    assert await _owner_of(fixture, made) == BEN
    fixture.interrupt(
        lambda: fixture.now.edit(actor(BEN), made.id, {"owner_id": ANNA}, expected_version=None)
    )
    with pytest.raises(Conflict) as refusal:
        await fixture.interrupted.remove(admin(), made.id, ANNA)
    assert not isinstance(refusal.value, VersionConflict)
    assert await _owner_of(fixture, made) == ANNA


async def test_a_member_who_leaves_concurrently_does_not_become_owner(fixture: TeamFixture) -> None:
    made = await fixture.team(BEN, CARL)
    for changes, leaver in (({"owner_id": BEN}, BEN), ({"poc_id": CARL}, CARL)):
        fixture.interrupt(lambda leaver=leaver: fixture.now.remove(actor(leaver), made.id, leaver))  # type: ignore[misc]
        with pytest.raises(RuleBroken):
            await fixture.interrupted.edit(actor(), made.id, changes, expected_version=None)  # type: ignore[arg-type]
    assert await _owner_of(fixture, made) == ANNA


async def test_of_transfers_and_removals_at_once_none_leaves_a_team_without_its_owner(
    fixture: TeamFixture,
) -> None:
    for _ in range(15):
        made = await fixture.team(BEN, CARL)
        refused = await at_once(
            fixture.interrupted.edit(actor(), made.id, {"owner_id": BEN}, expected_version=None),
            fixture.interrupted.remove(admin(), made.id, BEN),
            fixture.interrupted.edit(actor(), made.id, {"owner_id": CARL}, expected_version=None),
            fixture.interrupted.edit(admin(), made.id, {"poc_id": CARL}, expected_version=None),
            fixture.interrupted.remove(actor(CARL), made.id, CARL),
        )
        assert all(isinstance(one, Conflict | RuleBroken | Forbidden | NotFound) for one in refused), refused
        assert await _owner_of(fixture, made) in {ANNA, BEN, CARL}


async def test_members_added_while_a_team_is_deleted_are_deleted_and_restored_with_it(
    fixture: TeamFixture,
) -> None:
    made = await fixture.team()
    fixture.interrupt(lambda: fixture.now.add(actor(), made.id, [BEN]))
    await fixture.interrupted.delete(actor(), made.id, expected_version=1)
    assert await fixture.member_ids(made) == set()
    await fixture.now.restore(actor(), made.id, expected_version=None)
    assert await fixture.member_ids(made) == {ANNA, BEN}


async def test_nobody_joins_a_team_that_is_deleted_meanwhile(fixture: TeamFixture) -> None:
    made = await fixture.team()
    code, _ = await fixture.now.invite(actor(), made.id)
    fixture.interrupt(lambda: fixture.now.delete(actor(), made.id, expected_version=None))
    with pytest.raises(Conflict):
        await fixture.interrupted.add(actor(), made.id, [BEN])
    await fixture.now.restore(actor(), made.id, expected_version=None)
    fixture.interrupt(lambda: fixture.now.delete(actor(), made.id, expected_version=None))
    with pytest.raises(RuleBroken):
        await fixture.interrupted.join(actor(ADMIN), code)
    assert await fixture.member_ids(made) == set()
