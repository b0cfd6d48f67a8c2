"""The state of one sign-in with a provider, kept by the browser instead of by a process."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from application.ports.clock import Clock
from application.ports.sign_in import SignInFailed, SignInFailure

TICKET_SECONDS = 10 * 60
_TICKET = re.compile(r"(?P<state>[A-Za-z0-9_-]{43})\.(?P<ends>[0-9]{1,12})\.(?P<mark>[A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in. Only `state` and `challenge` (RFC 7636, S256) ever appear in an address."""

    state: str
    nonce: str
    verifier: str

    @property
    def challenge(self) -> str:
        """The hash of the verifier, which the address may show."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())


class SignInTickets:
    """Attempts as signed tickets that any process with the same key can read.

    Nonce and verifier are derived from the state with the key, so nobody can compute them from an address or a ticket.
    A ticket is valid for TICKET_SECONDS.
    """

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def begin(self) -> tuple[Attempt, str]:
        """A new attempt and its ticket."""
        state = _text(secrets.token_bytes(32))
        ends = int(self._clock.now().timestamp()) + TICKET_SECONDS
        return self._attempt(state), f"{state}.{ends}.{self._derived('ticket', f'{state}.{ends}')}"

    def resume(self, ticket: str | None, state: str) -> Attempt:
        """The attempt of this browser. Raises SignInFailed unless the ticket is genuine, current and has this state."""
        read = _TICKET.fullmatch(ticket or "")
        if read is None:
            raise SignInFailed(SignInFailure.STATE, "the browser sent no ticket")
        expected = self._derived("ticket", f"{read['state']}.{read['ends']}")
        if not hmac.compare_digest(read["mark"], expected):
            raise SignInFailed(SignInFailure.STATE, "the ticket has no valid signature")
        if not hmac.compare_digest(read["state"].encode(), state.encode("utf-8", "replace")):
            raise SignInFailed(SignInFailure.STATE, "the state belongs to another sign-in")
        if int(read["ends"]) <= self._clock.now().timestamp():
            raise SignInFailed(SignInFailure.STATE, "the ticket has expired")
        return self._attempt(read["state"])

    def _attempt(self, state: str) -> Attempt:
        return Attempt(state, self._derived("nonce", state), self._derived("verifier", state))

    def _derived(self, purpose: str, of: str) -> str:
        return _text(hmac.digest(self._key, f"{purpose}:{of}".encode(), "sha256"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
