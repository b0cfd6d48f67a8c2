"""Addresses and names that a driver could not use are refused by the settings, and never repeated."""

import pytest

from entrypoints.composition.settings import read_settings
from entrypoints.composition.variables import InvalidSettings

SECRET = "geheim"
UNUSABLE = {
    "POSTGRES_URL": [
        "postgresql://tandem:geheim%zz@db.example/x",
        "postgresql://tandem:geheim@[::1/x",
        "postgresql://tandem:geheim@[::1]x/x",
        "postgresql://tandem:geheim@h/x?nonsense=1",
        "postgresql://tandem:geheim@h/x?sslmode",
        "postgresql://tandem:geheim@h/x?sslmode=geheim",
        "postgresql://tandem:geheim@h/x?connect_timeout=geheim",
        "postgresql://tandem:geheim@h/x?connect_timeout=1.5",
        "postgresql://tandem:geheim@h/x?keepalives_idle=geheim",
        "postgresql://tandem:geheim@h/x?tcp_user_timeout=99999999999",
        "postgresql://tandem:geheim@h/x?ssl_min_protocol_version=geheim",
        "postgresql://tandem:geheim@h/x?load_balance_hosts=geheim",
        "postgresql://tandem:geheim@h/x y",
        "postgresql://tandem:geheim@h/%ff",
        "postgresql://tandem:geheim/w@h/x",
        "postgresql://tandem:1/geheim@h/x",
        "postgresql://tandem:p@geheim@h/x",
        "postgresql://tandem:geheim@h:99999/x",
        "postgresql://tandem:geheim@h:0/x",
    ],
    "MONGODB_URI": [
        "mongodb://tandem:geheim%zz@h",
        "mongodb://tandem:geheim/w@h",
        "mongodb://tandem:1/geheim@h",
        "mongodb://tandem:p@geheim@h",
        "mongodb://tandem:geheim@h:99999",
        "mongodb://tandem:geheim@[::1",
        "mongodb://tandem:geheim@h,/",
        "mongodb://tandem:geheim@h/?readPreference=geheim",
        "mongodb://tandem:geheim@h/?tls=geheim",
        "mongodb://tandem:geheim@h/?geheim=1",
        "mongodb://tandem:geheim@h/?tlsCAFile=/geheim",
        "mongodb+srv://tandem:geheim@a.example.net:27017",
        "mongodb+srv://tandem:geheim%zz@a.example.net",
    ],
    "CACHE_URL": [
        "redis://tandem:geheim/w@h",
        "redis://:1/geheim@h",
        "redis://tandem:geheim#w@h",
        "redis://:geheim@h:x",
        "redis://:geheim@[::1",
        "redis://:geheim@h/geheim",
        "redis://:geheim@h?geheim=1",
        "redis://:geheim@h?db=geheim",
        "rediss://:geheim@h?ssl_cert_reqs=geheim",
    ],
    "POSTGRES_HOST": ["geheim@h", "h:5432", "a b", "h/x", "[::1]:1", "h,,i"],
    "DB_NAME": [
        "a.b",
        "a b",
        "x/y",
        "..\\x",
        "a$",
        '"a"',
        "x" * 64,
        "é" * 32,
        "a\tb",
        "admin",
        "local",
        "config",
    ],
}


def violations(given: dict[str, str]) -> list[tuple[str, str]]:
    """Variable and message of each violation; none if the settings are accepted."""
    try:
        read_settings(given)
    except InvalidSettings as invalid:
        return [(each.variable, each.message) for each in invalid.violations]
    return []


@pytest.mark.parametrize(
    ("variable", "value"), [(name, one) for name, values in UNUSABLE.items() for one in values]
)
def test_what_the_driver_cannot_read_is_refused_by_name_and_not_repeated(variable: str, value: str) -> None:
    ((named, message),) = violations({variable: value})
    assert named == variable
    assert SECRET not in message
    assert len(message) < 300


def test_all_addresses_are_reported_together() -> None:
    found = violations({name: values[0] for name, values in UNUSABLE.items() if name != "POSTGRES_HOST"})
    assert {name for name, _ in found} == {"POSTGRES_URL", "MONGODB_URI", "CACHE_URL", "DB_NAME"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (
            "POSTGRES_URL",
            "postgresql://u:p%40%25%2Fw@h1,h2:6543/x?sslmode=require&options=-csearch_path%3Da&connect_timeout=5&keepalives=1",
        ),
        ("POSTGRES_URL", "postgresql:///x?host=/tmp"),
        ("POSTGRES_URL", "postgresql://[::1]:5432/x"),
        ("POSTGRES_URL", "postgresql://u:p@h/a@b"),
        ("POSTGRES_URL", "postgresql:///x?host=@tandem"),
        (
            "MONGODB_URI",
            "mongodb+srv://u:p%40@cluster.example.net/?retryWrites=true&w=majority&appName=Cluster0",
        ),
        ("MONGODB_URI", "mongodb://u:p@h/a@b"),
        ("MONGODB_URI", "mongodb://h1:27017,[::1]:27018/?replicaSet=rs0&authSource=admin"),
        ("CACHE_URL", "rediss://u:p%40@h:6380/2"),
        ("DB_NAME", "tandem-übung_1"),
    ],
)
def test_what_the_driver_can_read_is_accepted_without_looking_it_up(variable: str, value: str) -> None:
    assert violations({variable: value}) == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::1", "postgresql://u:p%40@[::1]:6543/n%3Fx"),
        ("/var/run/postgresql", "postgresql://u:p%40@%2Fvar%2Frun%2Fpostgresql:6543/n%3Fx"),
        ("h1, h2", "postgresql://u:p%40@h1:6543,h2:6543/n%3Fx"),
    ],
)
def test_the_parts_of_an_address_stay_apart(host: str, url: str) -> None:
    parts = {
        "STORE": "postgres",
        "POSTGRES_HOST": host,
        "POSTGRES_PORT": "6543",
        "POSTGRES_USER": "u",
        "POSTGRES_PASSWORD": "p@",
        "POSTGRES_NAME": "n?x",
    }
    assert read_settings(parts).stores.postgres_url == url
