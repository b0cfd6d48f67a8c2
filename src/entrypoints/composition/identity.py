"""Builds the identity provider of the settings."""

from adapters.auth.openid_provider import ClientRegistration, OpenIdProvider
from adapters.auth.provider_client import ProviderClient
from adapters.auth.sign_in_tickets import SignInTickets
from application.ports.clock import Clock
from application.ports.sign_in import IdentityProvider
from entrypoints.composition.settings import Settings

CALLBACK_PATH = "/v1/auth/google/callback"


def identity_provider(settings: Settings, *, secret: bytes, clock: Clock) -> IdentityProvider | None:
    """The provider; None if none is configured. It is not contacted yet."""
    google = settings.google
    if google is None:
        return None
    registration = ClientRegistration(
        issuer=google.issuer,
        client_id=google.client_id,
        client_secret=google.client_secret,
        redirect_uri=settings.http.address + CALLBACK_PATH,
    )
    return OpenIdProvider(registration, tickets=SignInTickets(secret, clock), client=ProviderClient())
