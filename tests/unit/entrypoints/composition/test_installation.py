from pathlib import Path

import pytest

from entrypoints.composition.installation import INSTALLATION_FILE, recalled, remember, without_password
from entrypoints.composition.settings import Settings, read_settings

MIRRORED = {
    "STORE": "dual",
    "DUAL_WRITE_SOURCE": "monty",
    "POSTGRES_URL": "postgresql://anna:secret@db.example.org:5433/tandem?sslmode=require",
    "CACHE_URL": "memory",
}


def settings_in(directory: Path, **variables: str) -> Settings:
    return read_settings({"DATA_DIR": str(directory), **variables}, recall=recalled)


def test_settings_need_not_be_repeated(tmp_path: Path) -> None:
    first = settings_in(tmp_path, **MIRRORED)
    remember(first)
    again = settings_in(tmp_path)
    assert (again.stores.source, again.stores.target) == ("monty", "postgres")
    assert again.stores.postgres_url == "postgresql://anna@db.example.org:5433/tandem?sslmode=require"
    assert again.cache_url == "memory"


def test_no_password_is_kept_and_the_file_is_for_its_owner(tmp_path: Path) -> None:
    remember(settings_in(tmp_path, **MIRRORED))
    file = tmp_path / INSTALLATION_FILE
    assert "secret" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("mongodb+srv://u:p%40@cluster/?x=1", "mongodb+srv://u@cluster/?x=1"),
        ("mongodb://u:p@a:1,b:2/?replicaSet=rs0", "mongodb://u@a:1,b:2/?replicaSet=rs0"),
        ("redis://:secret@host:6379/0", "redis://host:6379/0"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://host/db?password=x&sslmode=require", "postgresql://host/db?sslmode=require"),
        ("embedded", "embedded"),
    ],
)
def test_addresses_are_kept_without_their_password(address: str, kept: str) -> None:
    assert without_password(address) == kept


def test_given_settings_take_precedence_and_other_stores_forget_the_rest(tmp_path: Path) -> None:
    remember(settings_in(tmp_path, **MIRRORED))
    assert settings_in(tmp_path, STORE="monty").stores.target is None
    parts = settings_in(tmp_path, POSTGRES_HOST="other", POSTGRES_PASSWORD="p")
    assert parts.stores.postgres_url == "postgresql://tandem:p@other:5432/tandem"


def test_a_damaged_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / INSTALLATION_FILE).write_text("{")
    assert settings_in(tmp_path).stores.source == "monty"
