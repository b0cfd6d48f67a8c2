"""Sign-in with an identity provider."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class SignInFailure(StrEnum):
    """The reason of a failed sign-in. The values are codes for clients."""

    DENIED = "access_denied"
    """The user or the provider denied access."""
    STATE = "invalid_state"
    """This browser did not start the sign-in, or started it too long ago."""
    CODE = "invalid_code"
    """The code is unknown to the provider or was used before."""
    IDENTITY = "invalid_identity"
    """The provider's statement about the user is not valid."""
    UNVERIFIED = "email_not_verified"
    """The provider has not verified the address."""
    PROVIDER_REFUSED = "provider_refused"
    """The provider rejected this installation; its settings are wrong."""
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    """The provider does not answer."""


class SignInFailed(Exception):
    """The sign-in failed and nothing was changed."""

    def __init__(self, failure: SignInFailure, reason: str = "") -> None:
        self.failure = failure
        super().__init__(reason or failure.value)


@dataclass(frozen=True, slots=True)
class SignInStart:
    """The address to send the browser to, and the ticket that this browser must bring back."""

    url: str
    ticket: str


@dataclass(frozen=True, slots=True)
class ProvenPerson:
    """A user as authenticated by the provider."""

    email: str
    name: str | None


class IdentityProvider(Protocol):
    """Authenticates users. It stores nothing between start and finish, so any process may finish."""

    async def start(self) -> SignInStart:
        """A new sign-in. Raises SignInFailed if the provider does not answer in time."""

    async def finish(self, *, ticket: str | None, state: str, code: str) -> ProvenPerson:
        """The user, confirmed by the provider. Raises SignInFailed otherwise."""
