import asyncio

import pytest

from application.paging import PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.tokens import Identity, TokenPair
from application.ports.unit_of_work import Begin
from application.users import EditUser, GetUser, GrantAdministration, SearchUsers, SignInByEmail
from domain.errors import Conflict, Forbidden, NotFound
from tests.unit.builders import actor


class SpelledTokens:
    """The port TokenIssuer for tests: tokens say whom they are for."""

    def issue(self, identity: Identity) -> TokenPair:
        return TokenPair(f"access:{identity.user_id}", f"refresh:{identity.user_id}", 900)


@pytest.fixture
def sign_in(begin: Begin, clock: Clock, identifiers: Identifiers) -> SignInByEmail:
    return SignInByEmail(begin, clock, identifiers, SpelledTokens())


async def test_the_first_user_administers_and_the_second_does_not(sign_in: SignInByEmail) -> None:
    first, _ = await sign_in(actor(), "anna@example.org")
    second, tokens = await sign_in(actor(), "ben@example.org", "Ben")
    assert (first.grants, second.grants) == (("admin",), ())
    assert (second.name, tokens.access_token) == ("Ben", f"access:{second.id}")


async def test_of_many_who_come_first_at_once_one_administers(sign_in: SignInByEmail) -> None:
    addresses = [f"user{number}@example.org" for number in range(4)]
    users = [user for user, _ in await asyncio.gather(*(sign_in(actor(), address) for address in addresses))]
    assert sorted(user.grants for user in users) == [(), (), (), ("admin",)]


async def test_one_address_at_once_is_one_user(sign_in: SignInByEmail) -> None:
    await sign_in(actor(), "first@example.org")
    users = [
        user for user, _ in await asyncio.gather(*(sign_in(actor(), "ben@example.org") for _ in range(3)))
    ]
    assert len({user.id for user in users}) == 1


async def test_signing_in_again_finds_the_same_user(sign_in: SignInByEmail) -> None:
    first, _ = await sign_in(actor(), "anna@example.org")
    again, _ = await sign_in(actor(), " ANNA@example.org")
    assert again == first


async def test_people_edit_their_own_profile_only(sign_in: SignInByEmail, begin: Begin, clock: Clock) -> None:
    anna, _ = await sign_in(actor(), "anna@example.org")
    ben, _ = await sign_in(actor(), "ben@example.org")
    edit = EditUser(begin, clock)
    with pytest.raises(Forbidden):
        await edit(actor(ben.id), anna.id, {"name": "Bananna"}, expected_version=None)
    await edit(actor(ben.id), ben.id, {"name": "Benjamin"}, expected_version=1)
    read = GetUser(begin)
    assert (await read(actor(), anna.id)).name == "anna"
    assert (await read(actor(), ben.id)).name == "Benjamin"


async def test_administration_is_granted_once_and_to_somebody(
    sign_in: SignInByEmail, begin: Begin, clock: Clock
) -> None:
    await sign_in(actor(), "anna@example.org")
    await sign_in(actor(), "ben@example.org")
    grant = GrantAdministration(begin, clock)
    assert (await grant(actor(), "ben@example.org")).grants == ("admin",)
    with pytest.raises(Conflict):
        await grant(actor(), "ben@example.org")
    with pytest.raises(NotFound):
        await grant(actor(), "cleo@example.org")


async def test_users_are_found_by_words_of_name_and_address(sign_in: SignInByEmail, begin: Begin) -> None:
    anna, _ = await sign_in(actor(), "anna@example.org", "Anna Berg")
    await sign_in(actor(), "ben@example.net")
    found = await SearchUsers(begin)(actor(), "berg example", PageRequest())
    assert [user.id for user in found.items] == [anna.id]
