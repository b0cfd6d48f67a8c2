"""One frozen settings tree, read from the environment and `.env`; every violation is reported at once, by variable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from adapters.dual_write.settings import DualWriteSettings, MirrorMode
from entrypoints.composition.addresses import cache_url, database_name, mongodb_uri, postgres_url
from entrypoints.composition.env_file import EnvFile, read_env_file
from entrypoints.composition.misspellings import misspelt
from entrypoints.composition.names import SETTINGS
from entrypoints.composition.secret_settings import read_keys, reject_development_passwords
from entrypoints.composition.variables import InvalidSettings, Network, Variables

DATA_DIR = ".tandem"
RATE_MAX = 1_000_000
SOAK_SECONDS_IN_PRODUCTION = 3_600
SOAK_SECONDS_MAX = 30 * 86_400
GOOGLE_ISSUER = "https://accounts.google.com"


class Environment(StrEnum):
    """Where the process runs. In production nothing is created or migrated by itself."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class StoreKind(StrEnum):
    """One store, or two stores with dual write."""

    MONTY = "monty"
    MONGO = "mongo"
    POSTGRES = "postgres"
    DUAL = "dual"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """The stores in use. `monty_directory` None keeps documents in memory; `postgres_url` may be `embedded`."""

    kind: StoreKind
    source: str
    target: str | None
    data_dir: Path
    monty_directory: Path | None
    mongodb_uri: str | None
    database: str
    postgres_url: str | None
    auto_migrate: bool
    slow_query_ms: int
    is_alone: bool = False
    """The operator vouches that the source is the newest copy, although its target cannot be reached."""

    @property
    def lasting_directory(self) -> Path | None:
        """The data directory; None where the source is in memory, so that each start is a first one."""
        is_in_memory = self.source == StoreKind.MONTY and self.monty_directory is None
        return None if is_in_memory else self.data_dir

    @property
    def named(self) -> tuple[str, ...]:
        """The names of the stores in use, the source first."""
        return (self.source,) if self.target is None else (self.source, self.target)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` per caller and period."""

    requests: int
    period_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Where the service listens, and its optional HTTP rules."""

    host: str
    port: int
    require_if_match: bool
    rate_limit: RateLimit | None
    sign_in_rate_limit: RateLimit | None
    public_url: str | None
    ui_url: str | None
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()

    @property
    def address(self) -> str:
        """The address of the service for browsers, without a slash at the end."""
        return (self.public_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    @property
    def ui_address(self) -> str:
        """The page that browsers open after sign-in."""
        return self.ui_url or f"{self.address}/"

    @property
    def other_pages(self) -> tuple[str, ...]:
        """Addresses of pages that belong to the service and may lie on other hosts."""
        return (*([self.ui_url] if self.ui_url else []), *self.cors_origins)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleSettings:
    """The registration at Google or another OpenID provider. `issuer` has no slash at the end."""

    client_id: str
    client_secret: str = field(repr=False)
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the process."""

    environment: Environment
    stores: StoreSettings
    dual_write: DualWriteSettings
    http: HttpSettings
    cache_url: str | None
    private_key: str | None
    public_key: str | None
    google: GoogleSettings | None
    retention_days: int
    verify_rate: int
    move_soak_seconds: int
    log_level: str
    log_format: str

    @property
    def is_production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @property
    def needs_mirror(self) -> bool:
        """Whether writes are acknowledged only after the target has confirmed them."""
        return self.stores.target is not None and self.dual_write.mode is MirrorMode.STRICT


Recall = Callable[[Path, Mapping[str, str]], Mapping[str, str]]
"""What a data directory remembers, next to the variables that are given."""


def read_settings(
    environment: Mapping[str, str], *, env_file: Path | None = None, recall: Recall | None = None
) -> Settings:
    """The settings: the environment takes precedence over the file, and the file over what the directory remembers.

    Raises InvalidSettings with every violation, also those of the file.
    """
    file = read_env_file(env_file)
    variables = Variables(_given(file, environment, recall), SETTINGS)
    settings = _settings(variables)
    violations = [
        *file.violations,
        *variables.violations,
        *misspelt(SETTINGS, file=file.values, environment=environment),
    ]
    if violations:
        raise InvalidSettings(violations)
    return settings


def read_variables(
    environment: Mapping[str, str], *, env_file: Path | None = None, recall: Recall | None = None
) -> dict[str, str]:
    """The variables behind the settings, in the same order of precedence. Raises InvalidSettings for the file."""
    file = read_env_file(env_file)
    if file.violations:
        raise InvalidSettings(file.violations)
    return _given(file, environment, recall)


def _given(file: EnvFile, environment: Mapping[str, str], recall: Recall | None) -> dict[str, str]:
    given = {**file.values, **environment}
    if recall is None:
        return given
    remembered = recall(data_dir_of(given), {name: value for name, value in given.items() if value.strip()})
    # An empty variable counts as unset.
    return {**given, **{name: value for name, value in remembered.items() if not given.get(name, "").strip()}}


def data_dir_of(variables: Mapping[str, str]) -> Path:
    """The data directory that the variables name."""
    return Path(variables.get("DATA_DIR", "").strip() or DATA_DIR)


def _settings(variables: Variables) -> Settings:
    environment = Environment(variables.choice("APP_ENV", tuple(Environment), default="development"))
    is_production = environment is Environment.PRODUCTION
    stores = _stores(variables, is_production=is_production)
    private_key, public_key = read_keys(variables, stores.data_dir, is_production=is_production)
    return Settings(
        environment=environment,
        stores=stores,
        dual_write=_dual_write(variables),
        http=_http(variables, is_production=is_production),
        cache_url=cache_url(variables, source=stores.source),
        private_key=private_key,
        public_key=public_key,
        google=_google(variables, is_production=is_production),
        retention_days=variables.integer("RETENTION_DAYS", default=30, least=1, most=36_500),
        move_soak_seconds=variables.integer(
            "MOVE_SOAK_SECONDS",
            default=SOAK_SECONDS_IN_PRODUCTION if is_production else 0,
            least=0,
            most=SOAK_SECONDS_MAX,
        ),
        verify_rate=variables.integer("VERIFY_RATE", default=200, least=0, most=20_000),
        log_level=variables.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO"),
        log_format=variables.choice(
            "LOG_FORMAT", ("json", "text"), default="json" if is_production else "text"
        ),
    )


def _stores(variables: Variables, *, is_production: bool) -> StoreSettings:
    if is_production and variables.text("STORE") is None:
        variables.violation("STORE", f"must be set in production: one of {', '.join(StoreKind)}")
    kind = StoreKind(variables.choice("STORE", tuple(StoreKind), default="monty"))
    mongodb = mongodb_uri(variables)
    source, target = _topology(variables, kind, mongodb)
    data_dir = data_dir_of(variables.values)
    storage = variables.choice("MONTY_STORAGE", ("memory", "sqlite"), default="sqlite")
    if is_production and storage == "memory":
        variables.violation(
            "MONTY_STORAGE", "cannot be memory in production: all data would end with the process"
        )
    postgres = postgres_url(variables)
    if is_production:
        reject_development_passwords(variables)
    if "mongo" in (source, target) and mongodb is None:
        variables.violation(
            "MONGODB_URI",
            "must be set for this STORE: the address of a MongoDB replica set",
        )
    if "postgres" in (source, target) and postgres is None:
        variables.violation(
            "POSTGRES_URL",
            "must be set for this STORE: the address of a database, or `embedded`",
        )
    return StoreSettings(
        kind=kind,
        source=source,
        target=target,
        data_dir=data_dir,
        monty_directory=None if storage == "memory" else data_dir / "monty",
        mongodb_uri=mongodb,
        database=database_name(variables),
        postgres_url=postgres,
        auto_migrate=variables.flag("AUTO_MIGRATE", default=not is_production),
        slow_query_ms=variables.integer("SLOW_QUERY_MS", default=100, least=1, most=600_000),
    )


def _topology(variables: Variables, kind: StoreKind, mongodb_uri: str | None) -> tuple[str, str | None]:
    if kind is not StoreKind.DUAL:
        return kind.value, None
    names = [each.value for each in StoreKind if each is not StoreKind.DUAL]
    source = variables.choice("DUAL_WRITE_SOURCE", names, default="mongo" if mongodb_uri else "monty")
    target = variables.choice("DUAL_WRITE_TARGET", names, default="postgres")
    if source == target:
        variables.violation("DUAL_WRITE_TARGET", "must differ from DUAL_WRITE_SOURCE")
    return source, target


def _dual_write(variables: Variables) -> DualWriteSettings:
    return DualWriteSettings(
        mode=MirrorMode(variables.choice("DUAL_WRITE_MODE", tuple(MirrorMode), default="mirror")),
        enabled=variables.flag("DUAL_WRITE_ENABLED", default=True),
        timeout_ms=variables.integer("DUAL_WRITE_TIMEOUT_MS", default=500, least=10, most=60_000),
        retry_attempts=variables.integer("DUAL_WRITE_RETRY_ATTEMPTS", default=3, least=1, most=1_000),
        retry_delay_seconds=variables.number("DUAL_WRITE_RETRY_DELAY", default=5.0, least=0.01, most=3_600.0),
    )


def _google(variables: Variables, *, is_production: bool) -> GoogleSettings | None:
    client_id, secret = variables.text("GOOGLE_OAUTH_CLIENT_ID"), variables.text("GOOGLE_OAUTH_CLIENT_SECRET")
    issuer = variables.web_address("GOOGLE_OAUTH_ISSUER") or GOOGLE_ISSUER
    if client_id is None:
        return None
    if secret is None:
        variables.violation("GOOGLE_OAUTH_CLIENT_SECRET", "must be set if GOOGLE_OAUTH_CLIENT_ID is set")
    if is_production:
        if not issuer.startswith("https://"):
            variables.violation("GOOGLE_OAUTH_ISSUER", "must start with https:// in production")
        if not (variables.text("PUBLIC_URL") or "").startswith("https://"):
            variables.violation("PUBLIC_URL", "must be an https:// address for sign-in with Google")
    return GoogleSettings(client_id=client_id, client_secret=secret or "", issuer=issuer.rstrip("/"))


def _http(variables: Variables, *, is_production: bool) -> HttpSettings:
    port = variables.integer("PORT", default=8000, least=0, most=65_535)
    return HttpSettings(
        host=variables.host("HOST", default="127.0.0.1"),
        port=port,
        require_if_match=variables.flag("REQUIRE_IF_MATCH", default=False),
        rate_limit=_rate_limit(variables, "RATE_LIMIT", default="off"),
        sign_in_rate_limit=_rate_limit(
            variables, "SIGN_IN_RATE_LIMIT", default="120/minute" if is_production else "off"
        ),
        public_url=variables.web_address("PUBLIC_URL"),
        ui_url=variables.web_address("UI_URL"),
        cors_origins=variables.origins("CORS_ORIGINS"),
        trusted_proxies=variables.networks("TRUSTED_PROXIES"),
    )


def _rate_limit(variables: Variables, variable: str, *, default: str) -> RateLimit | None:
    text = variables.text(variable) or default
    if text == "off":
        return None
    count, _, period = text.partition("/")
    seconds = {"second": 1, "minute": 60, "hour": 3_600}.get(period)
    is_count = count.isascii() and count.isdecimal() and len(count) <= len(str(RATE_MAX))
    if seconds is None or not is_count or not 1 <= int(count) <= RATE_MAX:
        variables.violation(
            variable, f"must be `off`, or 1 to {RATE_MAX} per second, minute or hour: `600/minute`"
        )
        return None
    return RateLimit(int(count), seconds)
