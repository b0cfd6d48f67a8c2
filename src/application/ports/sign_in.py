"""Signing in with the help of somebody who knows people: an identity provider, from outside."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class SignInFailure(StrEnum):
    """Why nobody was signed in. The values are codes that clients rely on."""

    DENIED = "access_denied"
    """The person, or the provider on his behalf, said no."""
    STATE = "invalid_state"
    """This browser did not begin this sign-in, or began it too long ago."""
    CODE = "invalid_code"
    """The provider does not know the code, or it was used before."""
    IDENTITY = "invalid_identity"
    """What the provider said about the person cannot be believed."""
    UNVERIFIED = "email_not_verified"
    """The provider does not vouch for the address."""
    PROVIDER_REFUSED = "provider_refused"
    """The provider does not accept this installation; its settings are wrong."""
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    """The provider does not answer."""


class SignInFailed(Exception):
    """Nobody was signed in and nothing was changed."""

    def __init__(self, failure: SignInFailure, reason: str = "") -> None:
        self.failure = failure
        super().__init__(reason or failure.value)


@dataclass(frozen=True, slots=True)
class SignInStart:
    """Where to send the browser, and the ticket that it must bring back; the ticket is for this browser alone."""

    url: str
    ticket: str


@dataclass(frozen=True, slots=True)
class ProvenPerson:
    """Whom the provider vouches for."""

    email: str
    name: str | None


class IdentityProvider(Protocol):
    """Proves who somebody is. It keeps nothing between start and finish, so any process may finish."""

    async def start(self) -> SignInStart:
        """A new attempt. Raises SignInFailed where the provider does not answer in time."""
        ...

    async def finish(self, *, ticket: str | None, state: str, code: str) -> ProvenPerson:
        """The person, once the provider has confirmed the code. Raises SignInFailed for everything else."""
        ...
