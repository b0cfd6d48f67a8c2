"""The commands of the unit tests, beside real processes; and processes that end with their test."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.crash.tandem_process import ServiceProcess, TandemProcess
from tests.servers.mongo import MongoDatabase
from tests.unit.entrypoints.cli.conftest import beads_file, data_dir, tandem
from tools.todo_database import write

__all__ = ["beads_file", "data_dir", "tandem"]

StartService = Callable[..., ServiceProcess]
StartCommand = Callable[..., TandemProcess]
Settings = dict[str, str]
Fill = Callable[..., None]


@pytest.fixture
def processes() -> Iterator[list[TandemProcess]]:
    """Processes that end with the test, whatever its outcome."""
    started: list[TandemProcess] = []
    yield started
    for process in started:
        process.kill()


@pytest.fixture
def start_service(processes: list[TandemProcess], data_directory: Path) -> StartService:
    """Starts `tandem serve` with these settings and returns at once."""

    def start(**variables: str) -> ServiceProcess:
        service = ServiceProcess(
            f"serve-{len(processes)}",
            environment={"DATA_DIR": str(data_directory), **variables},
            directory=data_directory,
        )
        processes.append(service)
        service.start()
        return service

    return start


@pytest.fixture
def start_command(processes: list[TandemProcess], data_directory: Path) -> StartCommand:
    """Starts a command with these settings and returns at once."""

    def start(*words: str, as_json: bool = True, **variables: str) -> TandemProcess:
        command = TandemProcess(
            f"command-{len(processes)}",
            words,
            environment={"DATA_DIR": str(data_directory), **variables},
            directory=data_directory,
            as_json=as_json,
        )
        processes.append(command)
        command.start()
        return command

    return start


@pytest.fixture
def settings(mongo_database: MongoDatabase, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of an operator who points Tandem at the database of the other service."""
    variables = {
        "APP_ENV": "test",
        "STORE": "mongo",
        "MONGODB_URI": mongo_database.uri,
        "DB_NAME": mongo_database.name,
        "DATA_DIR": str(data_dir),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def fill(mongo_database: MongoDatabase) -> Fill:
    """Writes documents into the database."""

    def fill(*parts: Mapping[str, list[dict[str, Any]]]) -> None:
        write(mongo_database.uri, mongo_database.name, *parts)

    return fill
