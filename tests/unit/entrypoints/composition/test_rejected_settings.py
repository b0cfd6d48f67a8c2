"""Settings that must not start a service: misspelt names, numbers out of bounds, what is unsafe in production."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.auth.keys import KEY_FILE
from entrypoints.composition.names import SETTINGS
from entrypoints.composition.settings import read_settings
from entrypoints.composition.variables import InvalidSettings
from tests.unit.signing_pems import pem_pair

PRODUCTION = {"APP_ENV": "production", "STORE": "monty", **pem_pair()}


def rejected(given: dict[str, str], *, env_file: Path | None = None) -> list[str]:
    """The violations, none if the settings are accepted."""
    try:
        read_settings(given, env_file=env_file)
    except InvalidSettings as error:
        return [str(violation) for violation in error.violations]
    return []


SLIPS = [
    ("STOER", "STORE"),
    ("STROE", "STORE"),
    ("POSTGRES_ULR", "POSTGRES_URL"),
    ("MONGODB_URL", "MONGODB_URI"),
    ("RETENTION_DAY", "RETENTION_DAYS"),
]
NEAR = [
    ("MONGO_URI", "MONGODB_URI"),
    ("LOGLEVEL", "LOG_LEVEL"),
    ("store", "STORE"),
    ("PROT", "PORT"),
    ("DB-NAME", "DB_NAME"),
    ("RATELIMITS", "RATE_LIMIT"),
]


@pytest.mark.parametrize(("name", "meant"), [*SLIPS, *NEAR])
def test_a_misspelt_name_in_the_file_is_rejected_with_the_one_that_was_meant(
    tmp_path: Path, name: str, meant: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"{name}=x\n")
    assert rejected({}, env_file=file) == [f"{name} in .env is not a setting; did you mean {meant}?"]


@pytest.mark.parametrize(("name", "meant"), SLIPS)
def test_a_slip_in_the_environment_is_rejected_with_the_name_that_was_meant(name: str, meant: str) -> None:
    assert rejected({name: "x"}) == [f"{name} in the environment is not a setting; did you mean {meant}?"]


def test_a_slip_beside_the_setting_itself_belongs_to_another_program() -> None:
    assert rejected({"STOER": "x", "STORE": "monty"}) == []


FOREIGN = [
    "HOSTNAME",
    "HOSTS",
    "PORTS",
    "POST",
    "STONE",
    "SCORE",
    "RESTORE",
    "LOGLEVEL",
    "DBNAME",
    "DATADIR",
    "APPENV",
]
FOREIGN += [
    "POSTGRES_DB",
    "POSTGRES_PASS",
    "MONGO_URI",
    "REDIS_URL",
    "API_URL",
    "APP_NAME",
    "PUBLIC_IP",
    "PATH",
]
FOREIGN += ["PGHOST", "PYTHONPATH", "store", "host", "port", "", "X" * 10_000]


def test_names_of_other_programs_are_accepted(tmp_path: Path) -> None:
    assert rejected(dict.fromkeys(FOREIGN, "x")) == []
    file = tmp_path / ".env"
    file.write_text("COMPOSE_PROJECT_NAME=a\nPOSTGRES_DB=b\nAPP_NAME=c\nREDIS_URL=d\nNODE_ENV=e\n")
    assert rejected({}, env_file=file) == []


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("PORT", "65536", "0 to 65535"),
        ("PORT", "-1", "0 to 65535"),
        ("PORT", "9" * 5_000, "0 to 65535"),
        ("PORT", "\N{ARABIC-INDIC DIGIT THREE}", "0 to 65535"),
        ("PORT", "80 80", "0 to 65535"),
        ("RETENTION_DAYS", "36501", "1 to 36500"),
        ("SLOW_QUERY_MS", "1e3", "1 to 600000"),
        ("DUAL_WRITE_TIMEOUT_MS", "9", "10 to 60000"),
        ("DUAL_WRITE_RETRY_DELAY", "nan", "0.01 to 3600"),
        ("DUAL_WRITE_RETRY_DELAY", "1e999", "0.01 to 3600"),
        ("DUAL_WRITE_RETRY_DELAY", "\N{FULLWIDTH DIGIT NINE}", "0.01 to 3600"),
        ("DUAL_WRITE_RETRY_DELAY", "1_000", "0.01 to 3600"),
        ("DUAL_WRITE_RETRY_DELAY", "+7", "0.01 to 3600"),
        ("RATE_LIMIT", "1000001/minute", "1 to 1000000"),
        ("RATE_LIMIT", "9" * 5_000 + "/minute", "1 to 1000000"),
        ("RATE_LIMIT", "5/day", "second, minute or hour"),
    ],
)
def test_a_number_out_of_bounds_names_variable_and_bounds(name: str, value: str, bounds: str) -> None:
    (message,) = rejected({name: value})
    assert message.startswith(f"{name} must be ")
    assert bounds in message
    assert len(message) < 200


@pytest.mark.parametrize(
    "value",
    [
        "ex ample",
        "999.1.1.1",
        "127.1",
        "127.0.0.1:80",
        "localhost:80",
        "[::1]",
        "::1:x",
        "http://localhost",
        "*",
        "-a",
        "a..b",
        "a" * 64,
        "a." * 127,
        "m\u00fcll",
    ],
)
def test_a_host_that_nothing_can_listen_on_is_named(value: str) -> None:
    (message,) = rejected({"HOST": value})
    assert message.startswith("HOST must be an address of this machine")


@pytest.mark.parametrize(
    "value",
    [
        "127.0.0.1",
        "0.0.0.0",
        "::",
        "::1",
        "fe80::1%eth0",
        "localhost",
        "tandem-1.example.org.",
        "db_1",
        "10.example",
    ],
)
def test_a_host_is_an_address_or_a_name(value: str) -> None:
    assert read_settings({"HOST": value}).http.host == value


@pytest.mark.parametrize(
    "value", ["proxy.example", "10.0.0.0/33", "10.0.0.1;10.0.0.2", "*", "0.0.0.0/0", "::/0"]
)
def test_proxies_are_addresses_and_never_everybody(value: str) -> None:
    (message,) = rejected({"TRUSTED_PROXIES": f"10.0.0.1, {value}"})
    assert message.startswith("TRUSTED_PROXIES must")


def test_proxies_may_be_addresses_and_networks() -> None:
    networks = read_settings({"TRUSTED_PROXIES": "10.0.0.1, 10.1.2.3/16,::1,"}).http.trusted_proxies
    assert [str(network) for network in networks] == ["10.0.0.1/32", "10.1.0.0/16", "::1/128"]
    assert read_settings({}).http.trusted_proxies == ()


@pytest.mark.parametrize(
    "value",
    ["*", "null", "board.example.org", "https://board.example.org/", "https://*.example.org", "ftp://a.org"],
)
def test_other_origins_are_named_one_by_one(value: str) -> None:
    (message,) = rejected({"CORS_ORIGINS": f"https://a.example.org, {value}"})
    assert message.startswith("CORS_ORIGINS must have origins such as https://")


def test_origins_may_be_named_in_any_case_and_with_a_port() -> None:
    settings = read_settings({"CORS_ORIGINS": "https://A.example.org,http://localhost:5173,"})
    assert settings.http.cors_origins == ("https://A.example.org", "http://localhost:5173")


@pytest.mark.parametrize("variable", sorted(SETTINGS - {"DATA_DIR"}))
def test_a_setting_that_is_not_utf8_is_named(variable: str) -> None:
    given = {
        "APP_ENV": "production",
        "STORE": "dual",
        "GOOGLE_OAUTH_CLIENT_ID": "tandem",
        "POSTGRES_HOST": "db",
        variable: "caf\udce9",
    }
    assert any(message.startswith(f"{variable} is not UTF-8 text") for message in rejected(given))


def elliptic_key() -> str:
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


BAD_KEYS = {
    "no key": ({"PRIVATE_KEY": "no key"}, ["PRIVATE_KEY is not"]),
    "two that are no keys": (
        {"PRIVATE_KEY": "no key", "PUBLIC_KEY": "no key"},
        ["PRIVATE_KEY is not", "PUBLIC_KEY must contain"],
    ),
    "a public key for both": ({"PRIVATE_KEY": pem_pair()["PUBLIC_KEY"]}, ["PRIVATE_KEY is not"]),
    "a private key for both": ({"PUBLIC_KEY": pem_pair()["PRIVATE_KEY"]}, ["PUBLIC_KEY must contain"]),
    "not RSA": ({"PRIVATE_KEY": elliptic_key()}, ["PRIVATE_KEY is not an RSA key"]),
    "not a pair": ({"PUBLIC_KEY": pem_pair("other")["PUBLIC_KEY"]}, ["PUBLIC_KEY does not belong"]),
    "too short": (pem_pair("short", bits=1024), ["PRIVATE_KEY has 1024 bits", "PUBLIC_KEY has 1024 bits"]),
    "cut": ({"PRIVATE_KEY": pem_pair()["PRIVATE_KEY"][:800]}, ["PRIVATE_KEY is not"]),
}


@pytest.mark.parametrize(("keys", "messages"), BAD_KEYS.values(), ids=BAD_KEYS)
@pytest.mark.parametrize("base", [PRODUCTION, pem_pair()], ids=["production", "development"])
def test_a_key_that_cannot_sign_is_rejected(
    base: dict[str, str], keys: dict[str, str], messages: list[str]
) -> None:
    found = rejected({**base, **keys})
    assert len(found) == len(messages)
    assert all(text.startswith(start) for text, start in zip(found, messages, strict=True)), found
    assert "BEGIN" not in "".join(found)


def test_production_rejects_what_development_uses(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text(PRODUCTION["PRIVATE_KEY"])
    given = {
        **PRODUCTION,
        "DATA_DIR": str(tmp_path),
        "MONTY_STORAGE": "memory",
        "POSTGRES_PASSWORD": "development-only",
        "MONGODB_URI": "mongodb://tandem:development-only@mongo/",
    }

    found = [message.partition(" ")[0] for message in rejected(given)]

    assert sorted(found) == ["MONGODB_URI", "MONTY_STORAGE", "POSTGRES_PASSWORD", "PRIVATE_KEY"]
    assert rejected({**given, "APP_ENV": "development"}) == []
    assert rejected({**PRODUCTION, "DATA_DIR": str(tmp_path / "elsewhere")}) == []


def test_a_file_that_is_no_text_is_rejected_by_name(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"STORE=\xff\xfe\n")
    (message,) = rejected({}, env_file=file)
    assert message.startswith(f"{file} is not UTF-8 text")
