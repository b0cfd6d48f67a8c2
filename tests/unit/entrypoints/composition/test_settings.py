from pathlib import Path

import pytest

from adapters.dual_write.settings import MirrorMode
from entrypoints.composition.names import SETTINGS
from entrypoints.composition.settings import RateLimit, StoreKind, read_settings
from entrypoints.composition.variables import InvalidSettings, SettingViolation
from tests.unit.signing_pems import pem_pair


def violations(given: dict[str, str], *, env_file: Path | None = None) -> tuple[SettingViolation, ...]:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(given, env_file=env_file)
    return caught.value.violations


def test_nothing_set_is_an_embedded_store_for_development() -> None:
    settings = read_settings({})
    assert settings.stores.kind is StoreKind.MONTY
    assert settings.stores.named == ("monty",)
    assert settings.stores.monty_directory == Path(".tandem/monty")
    assert settings.stores.auto_migrate


def test_every_invalid_variable_is_reported_at_once() -> None:
    given = {
        "APP_ENV": "staging",
        "STORE": "oracle",
        "MONTY_STORAGE": "tape",
        "MONGODB_URI": "http://[x",
        "POSTGRES_URL": "mysql://[x",
        "DUAL_WRITE_MODE": "hope",
        "DUAL_WRITE_ENABLED": "maybe",
        "DUAL_WRITE_TIMEOUT_MS": "soon",
        "DUAL_WRITE_RETRY_ATTEMPTS": "0",
        "DUAL_WRITE_RETRY_DELAY": "-1",
        "CACHE_URL": "memcached://[x",
        "RATE_LIMIT": "many",
        "SIGN_IN_RATE_LIMIT": "0/minute",
        "PUBLIC_URL": "tandem.example",
        "UI_URL": "javascript:alert(1)",
        "GOOGLE_OAUTH_ISSUER": "ftp://provider.example",
        "RETENTION_DAYS": "0",
        "LOG_LEVEL": "LOUD",
        "PORT": "70000",
        "AUTO_MIGRATE": "2",
        "REQUIRE_IF_MATCH": "x",
        "SLOW_QUERY_MS": "0",
        "TRUSTED_PROXIES": "10.0.0.0/33",
        "PRIVATE_KEY": "no key",
        "PUBLIC_KEY": "no key",
        "DB_NAEM": "tandem",
    }
    assert {each.variable for each in violations(given)} == set(given)


def test_production_needs_a_store_and_a_key_pair() -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings({"APP_ENV": "production"})
    assert {each.variable for each in caught.value.violations} == {"STORE", "PRIVATE_KEY, PUBLIC_KEY"}


def test_production_does_not_migrate_by_itself() -> None:
    production = {"APP_ENV": "production", "STORE": "monty", **pem_pair()}
    assert not read_settings(production).stores.auto_migrate


@pytest.mark.parametrize(
    ("given", "source", "target"),
    [
        ({"POSTGRES_URL": "embedded"}, "monty", "postgres"),
        ({"POSTGRES_URL": "embedded", "MONGODB_URI": "mongodb://h/?replicaSet=r"}, "mongo", "postgres"),
        (
            {
                "POSTGRES_URL": "embedded",
                "MONGODB_URI": "mongodb://h/",
                "DUAL_WRITE_SOURCE": "postgres",
                "DUAL_WRITE_TARGET": "mongo",
            },
            "postgres",
            "mongo",
        ),
    ],
)
def test_any_store_may_be_the_source_and_any_other_the_target(
    given: dict[str, str], source: str, target: str
) -> None:
    assert read_settings({"STORE": "dual", **given}).stores.named == (source, target)


@pytest.mark.parametrize(
    ("given", "variable"),
    [
        ({"STORE": "mongo"}, "MONGODB_URI"),
        ({"STORE": "postgres"}, "POSTGRES_URL"),
        ({"STORE": "dual"}, "POSTGRES_URL"),
        (
            {"STORE": "dual", "DUAL_WRITE_SOURCE": "postgres", "POSTGRES_URL": "embedded"},
            "DUAL_WRITE_TARGET",
        ),
    ],
)
def test_a_store_without_its_address_is_refused(given: dict[str, str], variable: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(given)
    assert [each.variable for each in caught.value.violations] == [variable]


@pytest.mark.parametrize(
    ("given", "is_accepted"),
    [
        ({"STORE": "monty"}, True),
        ({"STORE": "dual", "DUAL_WRITE_SOURCE": "monty", "POSTGRES_URL": "embedded"}, True),
        ({"STORE": "postgres", "POSTGRES_URL": "embedded"}, False),
        ({"STORE": "mongo", "MONGODB_URI": "mongodb://h/"}, False),
        ({"STORE": "dual", "MONGODB_URI": "mongodb://h/", "POSTGRES_URL": "embedded"}, False),
    ],
)
def test_a_cache_in_memory_needs_a_source_that_one_process_owns(
    given: dict[str, str], is_accepted: bool
) -> None:
    assert read_settings({**given, "CACHE_URL": "redis://h"}).cache_url == "redis://h"
    if is_accepted:
        assert read_settings({**given, "CACHE_URL": "memory"}).cache_url == "memory"
        return
    with pytest.raises(InvalidSettings, match="Name a Redis server") as caught:
        read_settings({**given, "CACHE_URL": "memory"})
    assert [each.variable for each in caught.value.violations] == ["CACHE_URL"]


def test_postgres_may_be_named_in_parts_whatever_the_password_holds() -> None:
    parts = {
        "STORE": "postgres",
        "POSTGRES_HOST": "db",
        "POSTGRES_PORT": "6543",
        "POSTGRES_USER": "u",
        "POSTGRES_PASSWORD": "p@s:s/",
        "POSTGRES_NAME": "n",
    }
    assert read_settings(parts).stores.postgres_url == "postgresql://u:p%40s%3As%2F@db:6543/n"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("DUAL_WRITE_MODE=strict\nPORT=9000\nRATE_LIMIT=600/minute\n")
    settings = read_settings({"PORT": "9001"}, env_file=file)
    assert (settings.dual_write.mode, settings.http.port) == (MirrorMode.STRICT, 9001)
    assert settings.http.rate_limit == RateLimit(600, 60)


def test_the_example_file_has_every_setting_with_its_default(tmp_path: Path) -> None:
    example = Path(__file__).parents[4] / ".env.example"
    lines = [line[1:] for line in example.read_text().splitlines() if line[:1] == "#" and line[1:2].isupper()]
    names = {line.partition("=")[0] for line in lines}
    assert names == SETTINGS
    file = tmp_path / ".env"
    file.write_text("\n".join(lines))
    assert read_settings({}, env_file=file) == read_settings({})
    # Each by itself, so that no value is hidden by another setting.
    for line in lines:
        name, _, value = line.partition("=")
        assert read_settings({name: value}) == read_settings({}), name


@pytest.mark.parametrize(
    "address",
    [
        "https://ui.example/\r\nSet-Cookie: x=1",
        "https://ui.example/ x",
        "https://ui.example/é",
        "https://ui.example/#part",
        "https://anna:secret@ui.example/",
        "https://",
        "//ui.example",
        "https://ui.example:port/",
        "https://[ui.example/",
        "https://ui.example/" + "x" * 2_000,
    ],
    ids=ascii,
)
def test_an_address_that_could_lead_elsewhere_or_end_a_header_is_refused(address: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings({"UI_URL": address})
    assert [each.variable for each in caught.value.violations] == ["UI_URL"]
    assert "secret" not in str(caught.value)


def test_addresses_follow_from_where_the_service_listens() -> None:
    http = read_settings({"PORT": "9000"}).http
    assert (http.address, http.ui_address) == ("http://127.0.0.1:9000", "http://127.0.0.1:9000/")
    named = read_settings({"PUBLIC_URL": "https://tandem.example/"}).http
    assert (named.address, named.ui_address) == ("https://tandem.example", "https://tandem.example/")


def test_sign_in_with_google_needs_its_whole_registration() -> None:
    client = {"GOOGLE_OAUTH_CLIENT_ID": "c"}
    production = {"APP_ENV": "production", "STORE": "monty", **pem_pair()}
    plain = {**client, "GOOGLE_OAUTH_CLIENT_SECRET": "s", "GOOGLE_OAUTH_ISSUER": "http://127.0.0.1:1"}

    def invalid(given: dict[str, str]) -> list[str]:
        with pytest.raises(InvalidSettings) as caught:
            read_settings(given)
        return [each.variable for each in caught.value.violations]

    assert read_settings({}).google is None
    assert invalid(client) == ["GOOGLE_OAUTH_CLIENT_SECRET"]
    assert invalid({**production, **plain}) == ["GOOGLE_OAUTH_ISSUER", "PUBLIC_URL"]
    google = read_settings({**client, "GOOGLE_OAUTH_CLIENT_SECRET": "s"}).google
    assert google is not None
    assert google.issuer == "https://accounts.google.com"
    assert "'s'" not in repr(google)


def test_sign_ins_are_limited_in_production_unless_switched_off() -> None:
    production = {"APP_ENV": "production", "STORE": "monty", **pem_pair()}
    assert read_settings(production).http.sign_in_rate_limit == RateLimit(120, 60)
    assert read_settings({**production, "SIGN_IN_RATE_LIMIT": "off"}).http.sign_in_rate_limit is None
    assert read_settings({}).http.sign_in_rate_limit is None
