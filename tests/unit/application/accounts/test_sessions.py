import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from adapters.auth.refresh_tokens import OpaqueRefreshTokens
from adapters.monty.record_store import MontyRecordStore
from adapters.records.record_store import RecordStore
from adapters.records.specs import AUDIT_LOGS, SESSIONS
from adapters.repositories.unit_of_work import StoredUnitOfWork
from application.accounts.sessions import (
    SESSION_LIFETIME,
    EndSession,
    RefreshSession,
    SignInByEmail,
    SignInWithProvider,
)
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.sign_in import ProvenPerson, SignInFailed, SignInFailure, SignInStart
from application.ports.tokens import AccessToken, Identity, TokenPair
from application.ports.unit_of_work import Begin
from domain.entity import Stamp
from domain.errors import RuleBroken, Unauthenticated
from domain.permissions import Grant
from domain.session import CURRENT_TOKENS_MAX, REUSED, SIGNED_OUT, USER_GONE, Session
from domain.user import User
from tests.unit.builders import NOON, actor


class SpelledTokens:
    """The port AccessTokens for tests: tokens contain the user id."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def issue(self, identity: Identity) -> AccessToken:
        grants = "+".join(sorted(identity.grants))
        return AccessToken(f"{identity.user_id}:{grants}:{identity.session_id}", 900)

    def read(self, access_token: str) -> Identity:
        user_id, grants, session_id = access_token.split(":")
        return Identity(user_id, frozenset(grants.split("+")), session_id)

    def session_of(self, access_token: str) -> str | None:
        if access_token.count(":") != 2:
            raise Unauthenticated
        return self.read(access_token).session_id

    def refuse_session(self, session_id: str) -> None:
        self.refused.append(session_id)


class VouchingProvider:
    """The port IdentityProvider for tests: authenticates one user, or fails."""

    def __init__(self, answer: ProvenPerson | SignInFailure) -> None:
        self.answer = answer

    async def start(self) -> SignInStart:
        return SignInStart("https://provider.example", "ticket")

    async def finish(self, *, ticket: str | None, state: str, code: str) -> ProvenPerson:
        if isinstance(self.answer, SignInFailure):
            raise SignInFailed(self.answer)
        return self.answer


class SteadyClock:
    """The port Clock: the time of the sign-in in these tests, until time passes."""

    def __init__(self) -> None:
        self.instant = NOON + timedelta(hours=1)

    def now(self) -> datetime:
        return self.instant

    def pass_time(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)


@pytest.fixture
def tokens() -> SpelledTokens:
    return SpelledTokens()


@pytest.fixture
def refresh_tokens() -> OpaqueRefreshTokens:
    return OpaqueRefreshTokens(b"k" * 32)


@pytest.fixture
def sign_in(
    begin: Begin,
    clock: Clock,
    identifiers: Identifiers,
    tokens: SpelledTokens,
    refresh_tokens: OpaqueRefreshTokens,
) -> SignInByEmail:
    return SignInByEmail(begin, clock, identifiers, tokens, refresh_tokens)


@pytest.fixture
def refresh(
    begin: Begin, clock: Clock, tokens: SpelledTokens, refresh_tokens: OpaqueRefreshTokens
) -> RefreshSession:
    return RefreshSession(begin, clock, tokens, refresh_tokens)


@pytest.fixture
def end(begin: Begin, clock: Clock, tokens: SpelledTokens, refresh_tokens: OpaqueRefreshTokens) -> EndSession:
    return EndSession(begin, clock, tokens, refresh_tokens)


async def session_of(begin: Begin, pair: TokenPair) -> Session:
    return await begin(actor()).sessions.get(pair.session_id)


async def test_the_first_user_administers_and_the_second_does_not(sign_in: SignInByEmail) -> None:
    first, _ = await sign_in(actor(), "anna@example.org")
    second, pair = await sign_in(actor(), "ben@example.org", "Ben")
    assert (first.grants, second.grants) == (("admin",), ())
    assert (second.name, pair.access_token) == ("Ben", f"{second.id}::{pair.session_id}")


async def test_of_concurrent_first_users_one_is_the_administrator(sign_in: SignInByEmail) -> None:
    addresses = [f"user{number}@example.org" for number in range(4)]
    users = [user for user, _ in await asyncio.gather(*(sign_in(actor(), address) for address in addresses))]
    assert sorted(user.grants for user in users) == [(), (), (), ("admin",)]


async def test_one_address_at_once_is_one_user_with_a_session_each(sign_in: SignInByEmail) -> None:
    await sign_in(actor(), "first@example.org")
    found = await asyncio.gather(*(sign_in(actor(), "ben@example.org") for _ in range(3)))
    assert len({user.id for user, _ in found}) == 1
    assert len({pair.session_id for _, pair in found}) == 3


async def test_signing_in_again_finds_the_same_user_and_begins_another_session(
    sign_in: SignInByEmail,
) -> None:
    first, one = await sign_in(actor(), "anna@example.org")
    again, other = await sign_in(actor(), " ANNA@example.org")
    assert again == first
    assert one.session_id != other.session_id


async def test_an_address_that_is_none_begins_nothing(sign_in: SignInByEmail, store: RecordStore) -> None:
    with pytest.raises(RuleBroken):
        await sign_in(actor(), "nobody")
    assert await store.scan(AUDIT_LOGS.collection, after=None, limit=10) == []


async def test_what_is_stored_of_a_session_opens_nothing(
    sign_in: SignInByEmail, refresh: RefreshSession, store: RecordStore
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")
    await refresh(actor(), pair.refresh_token)
    (record,) = await store.scan(SESSIONS.collection, after=None, limit=10)
    entries = await store.scan(AUDIT_LOGS.collection, after=None, limit=10)
    secret = pair.refresh_token.partition(".")[2]
    assert secret not in str(record)
    assert secret not in str(entries)
    assert len([entry for entry in entries if entry["collection"] == "sessions"]) == 2
    assert "tokens" not in str(entries)


async def test_a_refresh_gives_new_tokens_and_keeps_the_end(
    sign_in: SignInByEmail, refresh: RefreshSession, begin: Begin
) -> None:
    user, pair = await sign_in(actor(), "anna@example.org")
    before = await session_of(begin, pair)

    same_user, renewed = await refresh(actor(), pair.refresh_token)
    after = await session_of(begin, pair)

    assert same_user == user
    assert renewed.session_id == pair.session_id
    assert renewed.refresh_token != pair.refresh_token
    assert before.expires_at - before.created_at == SESSION_LIFETIME
    assert (after.version, after.expires_at) == (2, before.expires_at)
    assert renewed.refresh_expires_in_seconds < pair.refresh_expires_in_seconds == 7 * 24 * 3600
    assert (await refresh(actor(), renewed.refresh_token))[1].session_id == pair.session_id


async def test_a_refresh_reads_anew_what_the_user_holds(
    sign_in: SignInByEmail, refresh: RefreshSession, begin: Begin, clock: Clock
) -> None:
    await sign_in(actor(), "anna@example.org")
    ben, pair = await sign_in(actor(), "ben@example.org")
    work = begin(actor())
    work.users.save((await work.users.get(ben.id)).grant(Stamp(clock.now(), ben.id), Grant.MODERATOR))
    await work.commit()

    _, renewed = await refresh(actor(), pair.refresh_token)

    assert renewed.access_token.split(":")[1] == "moderator"


async def test_an_older_token_shown_again_ends_the_session_for_everybody(
    sign_in: SignInByEmail, refresh: RefreshSession, begin: Begin, tokens: SpelledTokens
) -> None:
    _, first = await sign_in(actor(), "anna@example.org")
    _, second = await refresh(actor(), first.refresh_token)
    _, third = await refresh(actor(), second.refresh_token)

    for shown in (first, third, second):
        with pytest.raises(Unauthenticated):
            await refresh(actor(), shown.refresh_token)

    session = await session_of(begin, first)
    assert (session.version, session.ended_because) == (4, REUSED)
    assert tokens.refused == [first.session_id]


@pytest.fixture
def steady_clock() -> SteadyClock:
    return SteadyClock()


@pytest.fixture
def steady_refresh(refresh: RefreshSession, steady_clock: SteadyClock) -> RefreshSession:
    return replace(refresh, clock=steady_clock)


async def test_a_crowd_of_refreshes_with_one_token_gets_a_successor_each_and_a_sign_out_among_them_works(
    sign_in: SignInByEmail,
    steady_refresh: RefreshSession,
    end: EndSession,
    identifiers: Identifiers,
    tmp_path: Path,
) -> None:
    store = MontyRecordStore(
        tmp_path / "data"
    )  # it commits in a thread, so that requests overtake each other
    await store.open()
    begin: Begin = partial(StoredUnitOfWork, store, identifiers)
    sign_in, end = replace(sign_in, begin=begin), replace(end, begin=begin)
    refresh = replace(steady_refresh, begin=begin)
    _, pair = await sign_in(actor(), "anna@example.org")

    tabs = await asyncio.gather(*(refresh(actor(), pair.refresh_token) for _ in range(CURRENT_TOKENS_MAX)))
    stored = await session_of(begin, pair)
    newest = tabs[-1][1].refresh_token
    outcomes = await asyncio.gather(
        *(refresh(actor(), newest) for _ in range(20)),
        end(actor(), access_token=None, refresh_token=newest),
        return_exceptions=True,
    )
    ended = await session_of(begin, pair)
    await store.close()

    assert len({tab.refresh_token for _, tab in tabs}) == CURRENT_TOKENS_MAX
    assert stored.version == 1 + CURRENT_TOKENS_MAX
    failures = [each for each in outcomes if isinstance(each, BaseException)]
    assert all(isinstance(failure, Unauthenticated) for failure in failures)
    assert ended.ended_because == SIGNED_OUT


async def test_concurrent_refreshes_with_one_token_all_go_on(
    sign_in: SignInByEmail, steady_refresh: RefreshSession, steady_clock: SteadyClock, begin: Begin
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")

    tabs = await asyncio.gather(*(steady_refresh(actor(), pair.refresh_token) for _ in range(3)))
    steady_clock.pass_time(15 * 60)
    later = []
    for _, tab in tabs:
        later.append((await steady_refresh(actor(), tab.refresh_token))[1])
        steady_clock.pass_time(60)

    issued = {
        pair.refresh_token,
        *(tab.refresh_token for _, tab in tabs),
        *(one.refresh_token for one in later),
    }
    assert len(issued) == 7
    assert {one.session_id for one in later} == {pair.session_id}
    assert (await session_of(begin, pair)).ended_because is None


async def test_a_replaced_token_yields_successors_for_ten_seconds_and_then_ends_the_session(
    sign_in: SignInByEmail, steady_refresh: RefreshSession, steady_clock: SteadyClock, begin: Begin
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")
    _, lost = await steady_refresh(actor(), pair.refresh_token)
    steady_clock.pass_time(9.999)
    _, again = await steady_refresh(actor(), pair.refresh_token)
    steady_clock.pass_time(0.001)

    with pytest.raises(Unauthenticated, match="stolen"):
        await steady_refresh(actor(), pair.refresh_token)

    assert (await session_of(begin, pair)).ended_because == REUSED
    for successor in (lost, again):
        with pytest.raises(Unauthenticated, match="stolen"):
            await steady_refresh(actor(), successor.refresh_token)


async def test_a_sign_out_between_two_tabs_ends_both(
    sign_in: SignInByEmail, steady_refresh: RefreshSession, end: EndSession
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")
    _, first = await steady_refresh(actor(), pair.refresh_token)
    await end(actor(), access_token=None, refresh_token=pair.refresh_token)

    for shown in (pair, first):
        with pytest.raises(Unauthenticated, match="You signed out of this session"):
            await steady_refresh(actor(), shown.refresh_token)


async def test_a_session_keeps_a_bounded_number_of_tokens(
    sign_in: SignInByEmail, steady_refresh: RefreshSession, begin: Begin
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")
    issued = [(await steady_refresh(actor(), pair.refresh_token))[1] for _ in range(CURRENT_TOKENS_MAX + 1)]

    session = await session_of(begin, pair)
    assert len([one for one in session.tokens if one.replaced_at_ms is None]) == CURRENT_TOKENS_MAX
    assert len(session.tokens) == CURRENT_TOKENS_MAX + 1
    assert (await steady_refresh(actor(), issued[1].refresh_token))[1].session_id == pair.session_id


async def test_only_holders_of_a_token_learn_why_its_session_ended(
    sign_in: SignInByEmail, refresh: RefreshSession, end: EndSession
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")
    await end(actor(), access_token=None, refresh_token=pair.refresh_token)
    reasons = {}
    for name, shown in (
        ("made up", f"{pair.session_id}.{'A' * 64}"),
        ("of nobody", f"{'f' * 24}.{'A' * 64}"),
        ("genuine", pair.refresh_token),
    ):
        with pytest.raises(Unauthenticated) as caught:
            await refresh(actor(), shown)
        reasons[name] = caught.value.message

    assert reasons["made up"] == reasons["of nobody"]
    assert reasons["genuine"] == "You signed out of this session; sign in again."


async def test_text_that_somebody_made_up_ends_nobodys_session(
    sign_in: SignInByEmail, refresh: RefreshSession, end: EndSession, begin: Begin
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")
    made_up = f"{pair.session_id}.{'A' * 64}"

    with pytest.raises(Unauthenticated):
        await refresh(actor(), made_up)
    with pytest.raises(Unauthenticated):
        await end(actor(), access_token=None, refresh_token=made_up)

    assert (await session_of(begin, pair)).version == 1
    assert await refresh(actor(), pair.refresh_token)


async def test_after_a_change_of_keys_the_present_token_still_counts(
    sign_in: SignInByEmail, refresh: RefreshSession
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")
    changed = replace(refresh, refresh_tokens=OpaqueRefreshTokens(b"l" * 32))

    _, renewed = await changed(actor(), pair.refresh_token)

    assert renewed.session_id == pair.session_id
    with pytest.raises(Unauthenticated, match="earlier key"):
        await changed(actor(), "".join((pair.session_id, ".", "B" * 64)))


async def test_a_session_ends_with_its_time(
    sign_in: SignInByEmail, refresh: RefreshSession, begin: Begin, clock: Clock
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")
    session = await session_of(begin, pair)

    assert session.is_open(session.expires_at - timedelta(milliseconds=1))
    assert not session.is_open(session.expires_at)


async def test_a_session_of_a_deleted_user_cannot_be_refreshed(
    sign_in: SignInByEmail, refresh: RefreshSession, begin: Begin, clock: Clock
) -> None:
    user, pair = await sign_in(actor(), "anna@example.org")
    work = begin(actor())
    work.users.save((await work.users.get(user.id)).delete(Stamp(clock.now(), user.id)))
    await work.commit()

    with pytest.raises(Unauthenticated):
        await refresh(actor(), pair.refresh_token)

    assert (await session_of(begin, pair)).ended_because == USER_GONE


@pytest.mark.parametrize("kind", ["access", "refresh"])
async def test_either_token_ends_its_session_and_doing_so_again_changes_nothing(
    sign_in: SignInByEmail,
    refresh: RefreshSession,
    end: EndSession,
    begin: Begin,
    tokens: SpelledTokens,
    kind: str,
) -> None:
    _, pair = await sign_in(actor(), "anna@example.org")
    _, other = await sign_in(actor(), "anna@example.org")
    shown = (pair.access_token, None) if kind == "access" else (None, pair.refresh_token)

    for _ in range(2):
        await end(actor(), access_token=shown[0], refresh_token=shown[1])

    session = await session_of(begin, pair)
    assert (session.version, session.ended_because) == (2, SIGNED_OUT)
    assert pair.session_id in tokens.refused
    with pytest.raises(Unauthenticated):
        await refresh(actor(), pair.refresh_token)
    assert await refresh(actor(), other.refresh_token)


async def test_signing_out_needs_something_to_sign_out_of(end: EndSession) -> None:
    with pytest.raises(Unauthenticated):
        await end(actor(), access_token=None, refresh_token=None)
    with pytest.raises(Unauthenticated):
        await end(actor(), access_token="nonsense", refresh_token=None)


async def with_provider(sign_in: SignInByEmail, answer: ProvenPerson | SignInFailure) -> User:
    parts = {name: getattr(sign_in, name) for name in sign_in.__dataclass_fields__}
    user, _ = await SignInWithProvider(**parts, provider=VouchingProvider(answer))(
        actor(), ticket="t", state="s", code="c"
    )
    return user


async def test_whom_the_provider_vouches_for_is_found_by_address_or_made(sign_in: SignInByEmail) -> None:
    known, _ = await sign_in(actor(), "anna@example.org", "Anna B.")

    again = await with_provider(sign_in, ProvenPerson("Anna@Example.org", "Somebody Else"))
    fresh = await with_provider(sign_in, ProvenPerson("ben@example.org", "B" * 300))
    nameless = await with_provider(sign_in, ProvenPerson("cleo@example.org", "  "))

    assert (again.id, again.name) == (known.id, "Anna B.")
    assert (fresh.name, nameless.name) == ("B" * 200, "cleo")


async def test_an_invalid_name_from_the_provider_does_not_prevent_signing_in(sign_in: SignInByEmail) -> None:
    spoiled = await with_provider(sign_in, ProvenPerson("ada@example.org", "\u202eAda\tL.\n"))
    hiding = await with_provider(sign_in, ProvenPerson("cleo@example.org", "Cle\u200bo\u200e \ud800"))
    unseen = await with_provider(sign_in, ProvenPerson("ben@example.org", "\u200b"))
    unstorable = await with_provider(sign_in, ProvenPerson("dora@example.org", "\x00"))

    assert (spoiled.name, hiding.name) == ("Ada L.", "Cleo")
    assert (unseen.name, unstorable.name) == ("ben", "dora")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (SignInFailure.UNVERIFIED, SignInFailure.UNVERIFIED),
        (ProvenPerson("no address", None), SignInFailure.IDENTITY),
        (ProvenPerson("\u00e4nna@example.org", "Anna"), SignInFailure.IDENTITY),
    ],
)
async def test_a_failed_provider_sign_in_changes_nothing(
    sign_in: SignInByEmail, store: RecordStore, answer: ProvenPerson | SignInFailure, failure: SignInFailure
) -> None:
    with pytest.raises(SignInFailed) as caught:
        await with_provider(sign_in, answer)

    assert caught.value.failure is failure
    assert await store.scan(AUDIT_LOGS.collection, after=None, limit=10) == []


async def test_an_address_that_is_longer_than_a_name_may_be_still_gives_one(sign_in: SignInByEmail) -> None:
    by_itself, _ = await sign_in(actor(), f"{'a' * 230}@example.org")
    vouched_for = await with_provider(sign_in, ProvenPerson(f"{'b' * 230}@example.org", None))

    assert (by_itself.name, vouched_for.name) == ("a" * 200, "b" * 200)
