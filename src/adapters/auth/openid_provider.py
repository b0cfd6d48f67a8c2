"""Google, or another OpenID provider: authorization code with PKCE, state and nonce."""

import hmac
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
from loguru import logger

from adapters.auth.provider_client import ProviderAnswer, ProviderClient
from adapters.auth.provider_directory import ProviderDirectory
from adapters.auth.sign_in_tickets import Attempt, SignInTickets
from application.ports.sign_in import ProvenPerson, SignInFailed, SignInFailure, SignInStart

ALGORITHM = "RS256"
SCOPE = "openid email profile"
CODE_LENGTH_MAX = 4_096
CLOCK_SKEW_SECONDS = 60
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "nonce", "email"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRegistration:
    """This installation's registration at the provider; `redirect_uri` must be registered there exactly like this."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str


class OpenIdProvider:
    """The port IdentityProvider."""

    def __init__(
        self, registration: ClientRegistration, *, tickets: SignInTickets, client: ProviderClient
    ) -> None:
        self._registration = registration
        self._tickets = tickets
        self._client = client
        self._directory = ProviderDirectory(registration.issuer, client)
        # Google documents both spellings.
        self._issuers = [registration.issuer, registration.issuer.removeprefix("https://")]

    async def start(self) -> SignInStart:
        addresses = await self._directory.addresses()
        attempt, ticket = self._tickets.begin()
        query = {
            "response_type": "code",
            "client_id": self._registration.client_id,
            "redirect_uri": self._registration.redirect_uri,
            "scope": SCOPE,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
            "prompt": "select_account",
        }
        joint = "&" if "?" in addresses.authorization else "?"
        return SignInStart(f"{addresses.authorization}{joint}{urlencode(query)}", ticket)

    async def finish(self, *, ticket: str | None, state: str, code: str) -> ProvenPerson:
        attempt = self._tickets.resume(ticket, state)
        if not 1 <= len(code) <= CODE_LENGTH_MAX:
            raise SignInFailed(SignInFailure.CODE)
        id_token = await self._redeemed(code, attempt)
        claims = await self._claims(id_token)
        return _person(claims, attempt, self._registration.client_id)

    async def _redeemed(self, code: str, attempt: Attempt) -> str:
        """Exchanges the code for an id token."""
        addresses = await self._directory.addresses()
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._registration.redirect_uri,
            "client_id": self._registration.client_id,
            "client_secret": self._registration.client_secret,
            "code_verifier": attempt.verifier,
        }
        answer = await self._client.post(addresses.token, fields)
        id_token = answer.document.get("id_token")
        if answer.status == 200 and isinstance(id_token, str):
            return id_token
        raise _rejection(answer)

    async def _claims(self, id_token: str) -> dict[str, Any]:
        try:
            key_id = jwt.get_unverified_header(id_token).get("kid")
            key = await self._directory.key(key_id) if isinstance(key_id, str) else None
            if key is None:
                raise SignInFailed(
                    SignInFailure.IDENTITY, "the provider does not publish the key of its token"
                )
            return jwt.decode(
                id_token,
                key,
                algorithms=[ALGORITHM],
                audience=self._registration.client_id,
                issuer=self._issuers,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": _REQUIRED},
            )
        except (jwt.PyJWTError, ValueError) as error:
            raise SignInFailed(SignInFailure.IDENTITY, type(error).__name__) from error


def _rejection(answer: ProviderAnswer) -> SignInFailed:
    if answer.status >= 500 or answer.status == 429:
        return SignInFailed(SignInFailure.PROVIDER_UNAVAILABLE, f"status {answer.status}")
    if answer.document.get("error") == "invalid_grant":
        return SignInFailed(SignInFailure.CODE)
    # Users cannot fix any other error, so the operator must see it. The provider's text is untrusted and not logged.
    logger.error(
        "The identity provider rejected this installation with status {}: check the settings GOOGLE_OAUTH_*.",
        answer.status,
    )
    return SignInFailed(SignInFailure.PROVIDER_REFUSED, f"status {answer.status}")


def _are_equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _person(claims: dict[str, Any], attempt: Attempt, client_id: str) -> ProvenPerson:
    """The person in a verified token. Raises SignInFailed unless it was issued for this sign-in and client alone."""
    nonce, email, name = claims["nonce"], claims["email"], claims.get("name")
    if not isinstance(nonce, str) or not _are_equal(nonce, attempt.nonce):
        raise SignInFailed(SignInFailure.IDENTITY, "the nonce belongs to another sign-in")
    if claims["aud"] not in (client_id, [client_id]) or claims.get("azp", client_id) != client_id:
        raise SignInFailed(SignInFailure.IDENTITY, "the token was issued for other clients as well")
    if not isinstance(email, str):
        raise SignInFailed(SignInFailure.IDENTITY, "the email address is not a text")
    if claims.get("email_verified") is not True:
        raise SignInFailed(SignInFailure.UNVERIFIED)
    return ProvenPerson(email, name if isinstance(name, str) else None)
