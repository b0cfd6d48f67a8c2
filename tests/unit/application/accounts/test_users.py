import pytest

from application.accounts.users import EditUser, GetUser, GrantAdministration, SearchUsers
from application.paging import PageRequest, Sort
from application.ports.clock import Clock
from application.ports.repositories import AuditFilter
from application.ports.unit_of_work import Begin
from domain.errors import Conflict, Forbidden, NotFound, RuleBroken, VersionConflict
from tests.unit.builders import ANNA, BEN, actor, numbered_id
from tests.unit.team_project import ASSIGNEE, NAMES, STRANGER, TeamProject

ADMIN = actor(numbered_id(0xAD), admin=True)


@pytest.fixture(autouse=True)
async def _garden(begin: Begin) -> None:
    await TeamProject(begin).store()


async def test_people_edit_their_own_profile_only(begin: Begin, clock: Clock) -> None:
    edit, read = EditUser(begin, clock), GetUser(begin)
    with pytest.raises(Forbidden):
        await edit(actor(BEN), ANNA, {"name": "Bananna"}, expected_version=None)
    await edit(actor(BEN), BEN, {"name": "Benjamin"}, expected_version=1)
    assert (await read(actor(), ANNA)).user.name == NAMES[ANNA]
    assert (await read(actor(), BEN)).user.name == "Benjamin"


async def test_a_stale_or_unfit_profile_changes_nothing(begin: Begin, clock: Clock) -> None:
    edit = EditUser(begin, clock)
    with pytest.raises(VersionConflict):
        await edit(actor(), ANNA, {"name": "Anne"}, expected_version=2)
    with pytest.raises(RuleBroken):
        await edit(actor(), ANNA, {"name": ""}, expected_version=None)
    unchanged = await edit(actor(), ANNA, {"name": NAMES[ANNA]}, expected_version=None)
    assert unchanged.version == 1
    entries = await begin(actor()).audit.matching(
        AuditFilter(collection="users", entity_id=ANNA), PageRequest(sort=Sort("at"))
    )
    assert len(entries.items) == 1


async def test_addresses_and_grants_are_for_oneself_and_administrators(begin: Begin) -> None:
    read, search = GetUser(begin), SearchUsers(begin)
    shown = {
        reader.id: {user.id for user in (await search(reader, "", PageRequest())).items if user.shows_contact}
        for reader in (actor(ANNA), actor(STRANGER), ADMIN)
    }
    assert shown == {ANNA: {ANNA}, STRANGER: {STRANGER}, ADMIN.id: set(NAMES)}
    assert (await read(actor(ANNA), ANNA)).shows_contact
    assert not (await read(actor(BEN), ANNA)).shows_contact
    assert not (await read(actor(BEN), ANNA, version=1)).shows_contact
    assert (await read(ADMIN, ANNA)).shows_contact


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("berg", {ANNA, BEN}),
        ("BERG anna", {ANNA}),
        ("ber", {ANNA, BEN}),
        ("erg", set()),
        ("ber anna", set()),
        ("anna@example.org", {ANNA}),
        ("  Anna@Example.ORG ", {ANNA}),
        ("example", set()),
        ("example.org", set()),
        ("@example.org", set()),
        ("anna@", set()),
        ("cleo@example.org berg", set()),
        ("", set(NAMES)),
        ("  ", set(NAMES)),
    ],
)
async def test_users_are_found_by_words_of_the_name_or_by_the_whole_address(
    begin: Begin, text: str, found: set[str]
) -> None:
    for reader in (actor(STRANGER), ADMIN):
        page = await SearchUsers(begin)(reader, text, PageRequest(with_total=True))
        assert {user.id for user in page.items} == found
        assert page.total == len(found)


async def test_a_search_goes_on_page_by_page(begin: Begin) -> None:
    first = await SearchUsers(begin)(actor(), "berg", PageRequest(limit=1))
    second = await SearchUsers(begin)(actor(), "berg", PageRequest(limit=1, after=first.next))
    assert {user.id for user in (*first.items, *second.items)} == {ANNA, BEN}
    assert second.next is None


async def test_administration_is_granted_once_and_to_somebody(begin: Begin, clock: Clock) -> None:
    grant = GrantAdministration(begin, clock)
    assert (await grant(actor(), "Cleo@example.org")).grants == ("admin",)
    assert (await begin(actor()).users.get(ASSIGNEE)).grants == ("admin",)
    with pytest.raises(Conflict):
        await grant(actor(), "cleo@example.org")
    with pytest.raises(NotFound):
        await grant(actor(), "dora@example.org")
