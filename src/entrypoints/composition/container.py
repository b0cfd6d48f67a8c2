"""The parts of the application and how they are built. Nothing is opened or started here."""

from functools import partial

from dependency_injector import containers, providers

from adapters.auth.api_token_texts import RandomApiTokens
from adapters.auth.invite_codes import InviteCodes
from adapters.auth.jwt_tokens import JwtTokens
from adapters.auth.keys import load_key_pair
from adapters.auth.openid_provider import ClientRegistration, OpenIdProvider
from adapters.auth.provider_client import ProviderClient
from adapters.auth.refresh_tokens import OpaqueRefreshTokens
from adapters.auth.sign_in_tickets import SignInTickets
from adapters.interchange.beads import BeadsReader
from adapters.interchange.beads_writer import BeadsWriter
from adapters.observability.request_metrics import RequestMetrics
from adapters.repositories.display_numbers import StoredDisplayNumbers
from adapters.repositories.retention_runs import StoredRetentionRuns
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.clock import SystemClock
from adapters.system.identifiers import SortableIdentifiers
from adapters.system.threads import Threads
from application.ports.clock import Clock
from application.ports.sign_in import IdentityProvider
from entrypoints.composition.building import Builder
from entrypoints.composition.continuous_verification import ContinuousVerification
from entrypoints.composition.installation import has_signing_key
from entrypoints.composition.logs import access_log
from entrypoints.composition.move import Move
from entrypoints.composition.move_jobs import MoveJobs
from entrypoints.composition.settings import Settings
from entrypoints.composition.stack_reports import schema_report_of
from entrypoints.composition.store_stack import StoreStack

CALLBACK_PATH = "/v1/auth/google/callback"


def _identity_provider(settings: Settings, *, secret: bytes, clock: Clock) -> IdentityProvider | None:
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


class Container(containers.DeclarativeContainer):
    """The shared parts, some of which depend on the settings. `builder` builds use cases from them: a provider has the
    name of the fields that it is for.
    """

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)
    needs_mirror = settings.provided.needs_mirror
    retention_days = settings.provided.retention_days

    clock = providers.Singleton(SystemClock)
    executor = providers.Singleton(Threads)
    identifiers = providers.Singleton(SortableIdentifiers)

    stack = providers.Singleton(StoreStack, settings=settings, clock=clock)
    store = stack.provided.store
    synchronisation = stack.provided.synchronisation
    health_probe = providers.Callable(lambda stack: stack, stack)
    diagnostics = providers.Callable(lambda stack: stack, stack)
    read_routing = stack.provided.read_routing
    schema_report = providers.Callable(partial, schema_report_of, stack)
    migration = providers.Singleton(Move, stack, settings=settings, clock=clock, identifiers=identifiers)
    move_jobs = providers.Singleton(MoveJobs)
    continuous_verification = providers.Singleton(
        ContinuousVerification, stack, rate=settings.provided.verify_rate, clock=clock
    )
    jobs = move_jobs
    begin = providers.Singleton(partial, StoredUnitOfWork, store, identifiers)
    numbers = providers.Singleton(StoredDisplayNumbers, store)
    runs = providers.Singleton(StoredRetentionRuns, store)

    keys = providers.Singleton(
        load_key_pair,
        settings.provided.private_key,
        settings.provided.public_key,
        directory=settings.provided.stores.data_dir,
    )
    tokens = providers.Singleton(JwtTokens, keys, clock=clock)
    refresh_tokens = providers.Singleton(OpaqueRefreshTokens, tokens.provided.derived_secret.call("refresh"))
    texts = providers.Singleton(RandomApiTokens)
    invitations = providers.Singleton(InviteCodes, tokens.provided.derived_secret.call("invite-codes"))
    provider = providers.Singleton(
        _identity_provider,
        settings,
        secret=tokens.provided.derived_secret.call("identity provider"),
        clock=clock,
    )

    readers = providers.Dict(beads=providers.Factory(BeadsReader))
    writers = providers.Dict(beads=providers.Factory(BeadsWriter))

    request_metrics = providers.Singleton(RequestMetrics, beside=stack.provided.render_metrics)
    access_log = providers.Singleton(access_log, settings)

    __self__ = providers.Self()
    builder = providers.Singleton(lambda container: Builder(container.providers), __self__)


def sign_for_itself(container: Container) -> None:
    """Signs with the key of the settings, or with a passing one where none was generated yet, which nothing keeps: for
    a process that accepts no tokens but its own.
    """
    if not has_signing_key(container.settings()):
        container.keys.override(providers.Object(load_key_pair(None, None)))


def build_container(settings: Settings) -> Container:
    """The application for these settings, with nothing opened yet."""
    return Container(settings=settings)
