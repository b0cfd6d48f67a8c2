"""Signing in with Google, against a stand-in over real HTTP: the whole way there and back, and every way to fail."""

import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from adapters.auth.openid_provider import ClientRegistration, OpenIdProvider
from adapters.auth.provider_client import ProviderClient
from adapters.auth.sign_in_tickets import TICKET_SECONDS, SignInTickets
from application.ports.sign_in import ProvenPerson, SignInFailed, SignInFailure, SignInStart
from tests.integration.journeys.service import running
from tests.servers.google import (
    CALLBACK,
    CLIENT_ID,
    CLIENT_SECRET,
    HOST,
    UI,
    StandInGoogle,
    client_settings,
    running_google,
)
from tests.unit.entrypoints.http.service import Service, SteppingClock, keys

TICKET_KEY = b"k" * 32
ANSWER_SECONDS_MAX = 10.0
LONG_AGO, FAR_AHEAD = 1_600_000_000, 32_503_680_000
Changed = dict[str, Any]


@pytest.fixture
def google() -> Iterator[StandInGoogle]:
    with running_google() as stand_in:
        stand_in.redirect_uris.add(CALLBACK)
        yield stand_in


def service_set_up(google: StandInGoogle, **more: str) -> Service:
    """A service that knows the provider from its settings."""
    variables: Any = client_settings(google, **more)
    return Service(**variables)


class PresentProvider:
    """The port IdentityProvider: each test's own real one, so that the application around it is made only once."""

    def __init__(self) -> None:
        self.current: OpenIdProvider | None = None

    async def start(self) -> SignInStart:
        assert self.current is not None
        return await self.current.start()

    async def finish(self, *, ticket: str | None, state: str, code: str) -> ProvenPerson:
        assert self.current is not None
        return await self.current.finish(ticket=ticket, state=state, code=code)


@cache
def shared_service() -> tuple[Service, PresentProvider]:
    provider = PresentProvider()
    return Service(provider=provider, PUBLIC_URL=HOST, UI_URL=UI), provider


@pytest.fixture
def service(google: StandInGoogle) -> Iterator[Service]:
    running, provider = shared_service()
    running.renew()
    provider.current = provider_of(google, clock=running.clock, redirect_uri=CALLBACK)
    yield running
    running.client.cookies.clear()


async def begun(client: httpx.AsyncClient) -> str:
    """Begins a sign-in and asks the provider; the path of the callback that the browser is sent to."""
    login = await client.get("/v1/auth/google/login")
    assert login.status_code == 302, login.text
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, trust_env=False) as browser:
        granted = await browser.get(login.headers["location"])
    assert granted.status_code == 302, granted.text
    address = granted.headers["location"]
    assert address.startswith(f"{CALLBACK}?")
    return str(address.removeprefix(HOST))


def outcome_of(answer: httpx.Response) -> tuple[str, str]:
    """How it ended, as the UI reads it; the rest of its address must be as it was set."""
    assert answer.status_code == 302, answer.text
    assert answer.headers["cache-control"] == "no-store"
    address = answer.headers["location"]
    assert address.startswith(f"{UI}&")
    ((name, values),) = parse_qs(address.removeprefix(f"{UI}&")).items()
    return name, values[0]


async def require_failed(service: Service, path: str, code: SignInFailure | str) -> None:
    """The callback fails with this code, sets no session, and changes nothing."""
    before = await service.stored()
    answer = await service.client.get(path)
    assert outcome_of(answer) == ("error", str(code))
    assert not any("tandem-access=" in cookie for cookie in answer.headers.get_list("set-cookie"))
    assert await service.stored() == before


async def test_the_whole_way_signs_a_browser_in(google: StandInGoogle, service: Service) -> None:
    back = await service.client.get(await begun(service.client))

    assert outcome_of(back) == ("success", "true")
    assert set(service.client.cookies) == {"tandem-access", "tandem-refresh", "tandem-csrf"}
    me = (await service.client.get("/v1/users/me")).json()
    assert (me["email"], me["name"], me["grants"]) == ("anna@example.org", "Anna Berg", ["admin"])
    csrf = {"X-CSRF-Token": service.client.cookies["tandem-csrf"]}
    assert (await service.client.post("/v1/labels", json={"name": "x"}, headers=csrf)).status_code == 201
    assert (await service.client.post("/v1/labels", json={"name": "y"})).status_code == 403


async def test_signing_in_again_is_the_same_user_in_another_session(service: Service) -> None:
    for _ in range(2):
        await service.client.get(await begun(service.client))

    stored = await service.stored()
    assert len(stored["users"]) == 1
    assert len(await service.store.scan("sessions", after=None, limit=10)) == 2


async def test_no_address_shows_the_verifier(google: StandInGoogle, service: Service) -> None:
    login = await service.client.get("/v1/auth/google/login")
    query = parse_qs(urlsplit(login.headers["location"]).query)
    tickets = SignInTickets(TICKET_KEY, service.clock)
    attempt = tickets.resume(service.client.cookies["tandem-sign-in"], query["state"][0])

    assert query["code_challenge"] == [attempt.challenge]
    assert attempt.verifier not in login.headers["location"] + str(login.headers.get_list("set-cookie"))
    assert CLIENT_SECRET not in login.headers["location"]


async def test_any_process_with_the_same_keys_and_store_finishes_what_another_began(
    google: StandInGoogle, prepared_postgres_url: str, data_directory: Path
) -> None:
    pem = keys().private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    variables = {
        "APP_ENV": "test",
        "LOG_LEVEL": "WARNING",
        "STORE": "postgres",
        "POSTGRES_URL": prepared_postgres_url,
        "PRIVATE_KEY": pem.decode(),
        "DATA_DIR": str(data_directory),
        **client_settings(google),
    }
    async with AsyncExitStack() as processes:
        one = await processes.enter_async_context(running(variables))
        other = await processes.enter_async_context(running(variables))
        path = await begun(one.client)
        other.client.cookies = one.client.cookies

        assert outcome_of(await other.client.get(path)) == ("success", "true")

        one.client.cookies = other.client.cookies
        me = (await one.client.get("/v1/users/me")).json()
        assert me["email"] == "anna@example.org"
        await one.require_sound()


async def test_a_callback_that_another_browser_began_is_refused(service: Service) -> None:
    path = await begun(service.client)
    service.client.cookies.clear()
    await require_failed(service, path, SignInFailure.STATE)

    await service.client.get("/v1/auth/google/login")
    await require_failed(service, path, SignInFailure.STATE)


async def test_a_callback_that_comes_too_late_is_refused(service: Service) -> None:
    path = await begun(service.client)
    service.clock.pass_time(TICKET_SECONDS + 1)

    await require_failed(service, path, SignInFailure.STATE)


async def test_a_callback_counts_once(service: Service) -> None:
    path = await begun(service.client)
    ticket = service.client.cookies["tandem-sign-in"]
    assert outcome_of(await service.client.get(path)) == ("success", "true")
    service.client.cookies.clear()
    await require_failed(service, path, SignInFailure.STATE)

    service.client.cookies.set("tandem-sign-in", ticket)
    await require_failed(service, path, SignInFailure.CODE)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", SignInFailure.STATE),
        ("code=x", SignInFailure.STATE),
        ("state=x&state=y&code=z", SignInFailure.STATE),
        ("state=%FF%00%0d%0aSet-Cookie:x&code=x", SignInFailure.STATE),
        ("state=" + "x" * 20_000, SignInFailure.STATE),
        ("&".join(f"p{number}=x" for number in range(100)), SignInFailure.STATE),
        ("error=access_denied&state=x", SignInFailure.DENIED),
        ("error=%0d%0aLocation:https://elsewhere.example", SignInFailure.PROVIDER_REFUSED),
        ("error=server_error", SignInFailure.PROVIDER_REFUSED),
    ],
)
async def test_a_callback_that_makes_no_sense_goes_to_our_own_page_with_a_code(
    service: Service, query: str, code: SignInFailure
) -> None:
    await require_failed(service, f"/v1/auth/google/callback?{query}", code)


async def test_whoever_says_no_is_sent_back(google: StandInGoogle, service: Service) -> None:
    google.denies = "access_denied"
    await require_failed(service, await begun(service.client), SignInFailure.DENIED)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "https://elsewhere.example"}, SignInFailure.IDENTITY),
        ({"iss": None}, SignInFailure.IDENTITY),
        ({"aud": "another-client"}, SignInFailure.IDENTITY),
        ({"aud": [CLIENT_ID, "another-client"]}, SignInFailure.IDENTITY),
        ({"aud": None}, SignInFailure.IDENTITY),
        ({"azp": "another-client"}, SignInFailure.IDENTITY),
        ({"exp": LONG_AGO}, SignInFailure.IDENTITY),
        ({"exp": None}, SignInFailure.IDENTITY),
        ({"iat": FAR_AHEAD}, SignInFailure.IDENTITY),
        ({"nonce": "another"}, SignInFailure.IDENTITY),
        ({"nonce": None}, SignInFailure.IDENTITY),
        ({"nonce": 5}, SignInFailure.IDENTITY),
        ({"email": None}, SignInFailure.IDENTITY),
        ({"email": "no address"}, SignInFailure.IDENTITY),
        ({"email": ["anna@example.org"]}, SignInFailure.IDENTITY),
        ({"email_verified": False}, SignInFailure.UNVERIFIED),
        ({"email_verified": None}, SignInFailure.UNVERIFIED),
        ({"email_verified": "false"}, SignInFailure.UNVERIFIED),
    ],
    ids=str,
)
async def test_a_token_that_does_not_fit_signs_nobody_in(
    google: StandInGoogle, service: Service, claims: Changed, code: SignInFailure
) -> None:
    google.claims = claims
    await require_failed(service, await begun(service.client), code)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "PS256"])
async def test_a_token_of_another_algorithm_signs_nobody_in(
    google: StandInGoogle, service: Service, algorithm: str
) -> None:
    google.algorithm = algorithm
    await require_failed(service, await begun(service.client), SignInFailure.IDENTITY)


async def test_a_key_that_the_provider_does_not_publish_is_not_believed(
    google: StandInGoogle, service: Service
) -> None:
    google.key_number = 1
    await require_failed(service, await begun(service.client), SignInFailure.IDENTITY)


async def test_keys_are_kept_and_a_new_one_is_looked_for(google: StandInGoogle) -> None:
    google.redirect_uris.add(HOST)
    provider = provider_of(google)
    for _ in range(2):
        assert (await proven(google, provider)).email == "anna@example.org"
    assert google.asked.count("/jwks") == google.asked.count("/.well-known/openid-configuration") == 1

    google.key_number, google.published = 1, {0, 1}
    fresh = provider_of(google)

    assert (await proven(google, fresh)).email == "anna@example.org"
    assert google.asked.count("/jwks") == 2


async def test_whoever_the_provider_does_not_know_may_not_ask_for_others_keys_at_will(
    google: StandInGoogle, service: Service
) -> None:
    await service.client.get(await begun(service.client))
    google.key_number = 1
    for _ in range(3):
        await require_failed(service, await begun(service.client), SignInFailure.IDENTITY)

    assert google.asked.count("/jwks") == 1


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/token", 500, SignInFailure.PROVIDER_UNAVAILABLE),
        ("/token", 429, SignInFailure.PROVIDER_UNAVAILABLE),
        ("/token", 401, SignInFailure.PROVIDER_REFUSED),
        ("/token", 302, SignInFailure.PROVIDER_REFUSED),
        ("/jwks", 500, SignInFailure.PROVIDER_UNAVAILABLE),
    ],
)
async def test_a_provider_that_fails_is_told_from_a_person_who_does(
    google: StandInGoogle, service: Service, path: str, status: int, code: SignInFailure
) -> None:
    callback = await begun(service.client)
    google.broken[path] = status
    await require_failed(service, callback, code)


async def test_where_the_provider_is_down_login_says_so(google: StandInGoogle, service: Service) -> None:
    google.broken["/.well-known/openid-configuration"] = 503
    for _ in range(2):
        answer = await service.client.get("/v1/auth/google/login")
        assert outcome_of(answer) == ("error", SignInFailure.PROVIDER_UNAVAILABLE)
    assert len(google.asked) == 1, "who comes a moment later shares the failure"


async def test_a_configuration_of_somebody_else_is_not_believed(google: StandInGoogle) -> None:
    async def failure_at(issuer: str) -> SignInFailure:
        with pytest.raises(SignInFailed) as caught:
            await provider_of(google, issuer=issuer).start()
        return caught.value.failure

    # The same server under another name: what it says of itself does not fit.
    assert (
        await failure_at(google.url.replace("127.0.0.1", "localhost")) is SignInFailure.PROVIDER_UNAVAILABLE
    )
    assert await failure_at("http://127.0.0.1:1") is SignInFailure.PROVIDER_UNAVAILABLE


async def test_a_provider_that_never_answers_is_given_up(google: StandInGoogle) -> None:
    google.silent.add("/token")
    google.redirect_uris.add(HOST)
    provider = provider_of(google, timeout_seconds=0.2)
    began = time.monotonic()

    with pytest.raises(SignInFailed) as caught:
        await proven(google, provider)

    assert caught.value.failure is SignInFailure.PROVIDER_UNAVAILABLE
    assert time.monotonic() - began < 2.0


async def test_a_wrong_secret_is_the_operators_affair(google: StandInGoogle) -> None:
    service = service_set_up(google, GOOGLE_OAUTH_CLIENT_SECRET="wrong")
    await require_failed(service, await begun(service.client), SignInFailure.PROVIDER_REFUSED)


async def test_too_many_sign_ins_to_one_address_send_the_browser_back(google: StandInGoogle) -> None:
    service = service_set_up(google, SIGN_IN_RATE_LIMIT="5/hour")
    for _ in range(2):
        assert outcome_of(await service.client.get(await begun(service.client))) == ("success", "true")
    assert (await service.client.get("/v1/auth/google/login")).status_code == 302

    refused = await service.client.get("/v1/auth/google/login")

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")


async def test_over_https_the_ticket_and_the_session_are_bound_to_this_host(google: StandInGoogle) -> None:
    google.redirect_uris.add("https://tandem.test/v1/auth/google/callback")
    service = service_set_up(google, PUBLIC_URL="https://tandem.test/")
    service.client.base_url = httpx.URL("https://tandem.test")

    login = await service.client.get("/v1/auth/google/login")
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, trust_env=False) as browser:
        granted = await browser.get(login.headers["location"])
    back = await service.client.get(granted.headers["location"])

    assert outcome_of(back) == ("success", "true")
    assert {name.partition("=")[0] for name in back.headers.get_list("set-cookie")} == {
        f"__Host-tandem-{name}" for name in ("access", "refresh", "csrf", "sign-in")
    }
    assert (await service.client.get("/v1/users/me")).status_code == 200


def provider_of(
    google: StandInGoogle,
    *,
    issuer: str | None = None,
    redirect_uri: str = HOST,
    clock: SteppingClock | None = None,
    timeout_seconds: float = 5.0,
) -> OpenIdProvider:
    """A provider that knows nothing yet."""
    registration = ClientRegistration(
        issuer=issuer or google.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri=redirect_uri,
    )
    tickets = SignInTickets(TICKET_KEY, clock or SteppingClock())
    return OpenIdProvider(
        registration, tickets=tickets, client=ProviderClient(timeout_seconds=timeout_seconds)
    )


async def proven(google: StandInGoogle, provider: OpenIdProvider) -> Any:
    """Whom the provider proves at once."""
    start = await provider.start()
    asked = {name: values[0] for name, values in parse_qs(urlsplit(start.url).query).items()}
    address = urlsplit(google.authorize(asked))
    back = parse_qs(address.query)
    return await provider.finish(ticket=start.ticket, state=back["state"][0], code=back["code"][0])
