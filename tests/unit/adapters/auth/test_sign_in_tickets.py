import base64
import hashlib

import pytest

from adapters.auth.sign_in_tickets import TICKET_SECONDS, SignInTickets
from application.ports.sign_in import SignInFailed, SignInFailure
from tests.unit.entrypoints.http.service import SteppingClock

KEY = b"k" * 32


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def tickets(clock: SteppingClock) -> SignInTickets:
    return SignInTickets(KEY, clock)


def refused(tickets: SignInTickets, ticket: str | None, state: str) -> SignInFailure:
    with pytest.raises(SignInFailed) as caught:
        tickets.resume(ticket, state)
    return caught.value.failure


def test_another_process_with_the_same_key_resumes_an_attempt(
    tickets: SignInTickets, clock: SteppingClock
) -> None:
    attempt, ticket = tickets.begin()

    assert SignInTickets(KEY, clock).resume(ticket, attempt.state) == attempt
    assert refused(SignInTickets(b"l" * 32, clock), ticket, attempt.state) is SignInFailure.STATE


def test_neither_address_nor_ticket_shows_nonce_or_verifier(tickets: SignInTickets) -> None:
    attempt, ticket = tickets.begin()

    assert attempt.verifier not in ticket
    assert attempt.nonce not in ticket
    assert len({attempt.state, attempt.nonce, attempt.verifier}) == 3
    digest = hashlib.sha256(attempt.verifier.encode()).digest()
    assert attempt.challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert 43 <= len(attempt.verifier) <= 128


def test_a_ticket_serves_its_own_state_for_ten_minutes(tickets: SignInTickets, clock: SteppingClock) -> None:
    attempt, ticket = tickets.begin()
    other, _ = tickets.begin()
    clock.pass_time(TICKET_SECONDS - 1)
    assert tickets.resume(ticket, attempt.state) == attempt
    assert refused(tickets, ticket, other.state) is SignInFailure.STATE

    clock.pass_time(1)

    assert refused(tickets, ticket, attempt.state) is SignInFailure.STATE


def test_a_changed_ticket_is_rejected(tickets: SignInTickets) -> None:
    attempt, ticket = tickets.begin()
    state, ends, mark = ticket.split(".")
    changed = [
        None,
        "",
        "nonsense",
        f"{state}.{int(ends) + 1}.{mark}",
        f"{'A' * 43}.{ends}.{mark}",
        f"{state}.{ends}.{'A' * 43}",
        ticket + "x",
        f"{state}.{'9' * 5_000}.{mark}",
    ]
    for attempted in changed:
        assert refused(tickets, attempted, attempt.state) is SignInFailure.STATE
    assert refused(tickets, ticket, "\ud800é") is SignInFailure.STATE
